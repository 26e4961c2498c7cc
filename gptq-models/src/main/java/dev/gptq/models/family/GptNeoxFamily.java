package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;

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
    boolean bias = config.booleanValue("attention_bias", true);
    int hidden = config.size("hidden_size");
    ClassicBlock parts =
        new ClassicBlock(
            hidden,
            config.headsOf(hidden, "num_attention_heads"),
            config.size("intermediate_size"),
            (float) config.doubleValue("layer_norm_eps", 1e-5),
            true,
            LinearSpec.Storage.OUT_IN);
    Activation function = Switches.activation(config, "hidden_act", "gelu");
    RopeSpec rope = Ropes.of(config, hidden / parts.heads());
    boolean parallel = config.booleanValue("use_parallel_residual", true);
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.blocks("num_hidden_layers"); layer++) {
      blocks.add(
          new BlockSpec(
              "gpt_neox.layers." + layer + ".", steps(parts, function, rope, parallel, bias)));
    }
    String embedding = "gpt_neox.embed_in.weight";
    boolean tied = config.booleanValue("tie_word_embeddings", false);
    return new DecoderSpec(
        "GPT-NeoX",
        config.size("vocab_size"),
        hidden,
        config.context("max_position_embeddings", 2048),
        new DecoderSpec.Embedding(embedding, hidden),
        new BlockSpec("", ImmutableList.of()),
        blocks.build(),
        new BlockSpec("gpt_neox.", ImmutableList.of(parts.norm("x", "x", "final_layer_norm"))),
        new DecoderSpec.Head(tied ? embedding : "embed_out.weight"),
        config.intList("eos_token_id"));
  }

  private static ImmutableList<Step> steps(
      ClassicBlock parts, Activation function, RopeSpec rope, boolean parallel, boolean bias) {
    int hidden = parts.hidden();
    int size = hidden / parts.heads();
    ClassicBlock attended = bias ? parts : parts.withoutBias();
    Step behind = parts.norm("x", "m", "post_attention_layernorm");
    ImmutableList.Builder<Step> steps =
        ImmutableList.<Step>builder().add(parts.norm("x", "n", "input_layernorm"));
    if (parallel) {
      // Both branches read the same stream; taken first, it may change before the second runs.
      steps.add(behind);
    }
    steps
        .addAll(attended.fused("n", "attention.query_key_value", attended.heads()))
        .add(new Step.Rope("q", size, rope))
        .add(new Step.Rope("k", size, rope))
        .add(parts.attention(false))
        .add(attended.linear("a", "attention.dense", "o", hidden, hidden))
        .add(new Step.Add("o", "x"));
    if (!parallel) {
      steps.add(behind);
    }
    return steps
        .addAll(parts.feedForward("m", "mlp.dense_h_to_4h", function, "mlp.dense_4h_to_h", "d"))
        .add(new Step.Add("d", "x"))
        .build();
  }
}
