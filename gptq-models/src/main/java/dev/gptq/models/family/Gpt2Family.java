package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;

/** GPT-2: learned positions, weights stored in × out. */
final class Gpt2Family implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("gpt2");
  }

  @Override
  public String base() {
    return "transformer.";
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    Switches.require(config, "add_cross_attention", false);
    int hidden = config.size("n_embd");
    int context = config.context("n_positions", "n_ctx");
    ClassicBlock parts =
        new ClassicBlock(
            hidden,
            config.headsOf(hidden, "n_head"),
            config.size("n_inner", 4 * hidden),
            (float) config.doubleValue("layer_norm_epsilon", 1e-5),
            true,
            LinearSpec.Storage.IN_OUT);
    Activation function = Switches.activation(config, "activation_function", "gelu_new");
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.blocks("n_layer"); layer++) {
      blocks.add(
          new BlockSpec("transformer.h." + layer + ".", steps(config, parts, function, layer)));
    }
    String embedding = "transformer.wte.weight";
    boolean tied = config.booleanValue("tie_word_embeddings", true);
    return new DecoderSpec(
        "GPT-2",
        config.size("vocab_size"),
        hidden,
        context,
        new DecoderSpec.Embedding(embedding, hidden),
        new BlockSpec(
            "transformer.",
            ImmutableList.of(new Step.Positions("wpe.weight", context, hidden, 0, "x"))),
        blocks.build(),
        new BlockSpec("transformer.", ImmutableList.of(parts.norm("x", "x", "ln_f"))),
        new DecoderSpec.Head(tied ? embedding : "lm_head.weight"),
        config.intList("eos_token_id"));
  }

  private static ImmutableList<Step> steps(
      ModelConfig config, ClassicBlock parts, Activation function, int layer) {
    boolean scaled = config.booleanValue("scale_attn_weights", true);
    boolean byLayer = config.booleanValue("scale_attn_by_inverse_layer_idx", false);
    int size = parts.hidden() / parts.heads();
    double scale = scaled ? 1 / Math.sqrt(size) : 1;
    return ImmutableList.<Step>builder()
        .add(parts.norm("x", "n", "ln_1"))
        .addAll(parts.fused("n", "attn.c_attn", 1))
        .add(parts.attention(false, byLayer ? scale / (layer + 1) : scale))
        .add(parts.linear("a", "attn.c_proj", "o", parts.hidden(), parts.hidden()))
        .add(new Step.Add("o", "x"))
        .add(parts.norm("x", "m", "ln_2"))
        .addAll(parts.feedForward("m", "mlp.c_fc", function, "mlp.c_proj", "d"))
        .add(new Step.Add("d", "x"))
        .build();
  }
}
