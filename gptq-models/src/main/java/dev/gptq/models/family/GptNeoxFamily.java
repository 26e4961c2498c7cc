package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * GPT-NeoX and Pythia: a part of each head is rotated, and attention and feed-forward may read the
 * same residual stream side by side.
 */
final class GptNeoxFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("gpt_neox");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    Switches.require(config, "attention_bias", true);
    int hidden = config.intValue("hidden_size");
    ClassicBlock parts =
        new ClassicBlock(
            hidden,
            config.intValue("num_attention_heads"),
            config.intValue("intermediate_size"),
            (float) config.doubleValue("layer_norm_eps", 1e-5),
            true,
            LinearSpec.Storage.OUT_IN);
    Activation function = Switches.activation(config, "hidden_act", "gelu");
    boolean parallel = config.booleanValue("use_parallel_residual", true);
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.intValue("num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec("gpt_neox.layers." + layer + ".", steps(parts, function, parallel)));
    }
    String embedding = "gpt_neox.embed_in.weight";
    boolean tied = config.booleanValue("tie_word_embeddings", false);
    return new DecoderSpec(
        "GPT-NeoX",
        config.intValue("vocab_size"),
        hidden,
        config.intValue("max_position_embeddings", 2048),
        new DecoderSpec.Embedding(embedding, hidden),
        new BlockSpec("", ImmutableList.of()),
        blocks.build(),
        new BlockSpec("gpt_neox.", ImmutableList.of(parts.norm("x", "x", "final_layer_norm"))),
        new DecoderSpec.Head(tied ? embedding : "embed_out.weight", 0),
        Optional.of(Ropes.of(config, hidden / parts.heads())),
        config.intList("eos_token_id"));
  }

  private static ImmutableList<Step> steps(
      ClassicBlock parts, Activation function, boolean parallel) {
    int hidden = parts.hidden();
    int size = hidden / parts.heads();
    Step attended = new Step.Add("o", "x");
    ImmutableList.Builder<Step> steps =
        ImmutableList.<Step>builder()
            .add(parts.norm("x", "n", "input_layernorm"))
            .addAll(parts.fused("n", "attention.query_key_value", parts.heads()))
            .add(new Step.Rope("q", size))
            .add(new Step.Rope("k", size))
            .add(parts.attention(false))
            .add(parts.linear("a", "attention.dense", "o", hidden, hidden));
    if (!parallel) {
      steps.add(attended);
    }
    steps
        .add(parts.norm("x", "m", "post_attention_layernorm"))
        .addAll(parts.feedForward("m", "mlp.dense_h_to_4h", function, "mlp.dense_4h_to_h", "d"));
    if (parallel) {
      steps.add(attended);
    }
    return steps.add(new Step.Add("d", "x")).build();
  }
}
