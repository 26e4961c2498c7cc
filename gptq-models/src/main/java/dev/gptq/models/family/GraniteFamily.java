package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * Granite 3: Llama with factors on embeddings, scores, branches and logits. HyperCLOVA X has norms
 * behind attention and feed-forward as well, and multiplies logits by what Granite divides them by.
 */
final class GraniteFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("granite", "hyperclovax");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean clova = config.modelType().equals("hyperclovax");
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withScores(
                (float)
                    config.doubleValue(
                        "attention_multiplier", clova ? 1 / Math.sqrt(config.headDim()) : 1),
                0);
    FeedForward feedForward =
        LlamaLayout.feedForward(config, config.booleanValue("mlp_bias", false));
    if (clova) {
      return clova(config, attention, feedForward);
    }
    return scaled(
        config,
        LlamaLayout.decoder(
            "Granite", config, false, layer -> block(config, attention, feedForward)));
  }

  private static DecoderSpec clova(ModelConfig config, Body attention, Body feedForward) {
    boolean behind = config.booleanValue("use_post_norm", true);
    double factor = config.doubleValue("residual_multiplier", 1);
    DecoderSpec spec =
        LlamaLayout.decoder(
            "HyperCLOVA X",
            config,
            false,
            layer ->
                behind
                    ? Branch.block(
                        Branch.between(
                                LlamaLayout.norm(config, "input_layernorm"),
                                attention,
                                LlamaLayout.norm(config, "post_norm1"))
                            .withScale(factor),
                        Branch.between(
                                LlamaLayout.norm(config, "post_attention_layernorm"),
                                feedForward,
                                LlamaLayout.norm(config, "post_norm2"))
                            .withScale(factor))
                    : block(config, attention, feedForward));
    return scaled(config, spec, config.doubleValue("logits_scaling", 1));
  }

  /** A block whose branches are multiplied. */
  static ImmutableList<Step> block(ModelConfig config, Body attention, Body feedForward) {
    double factor = config.doubleValue("residual_multiplier", 1);
    return Branch.block(
        Branch.before(LlamaLayout.norm(config, "input_layernorm"), attention).withScale(factor),
        Branch.before(LlamaLayout.norm(config, "post_attention_layernorm"), feedForward)
            .withScale(factor));
  }

  /** The factors at both ends. */
  static DecoderSpec scaled(ModelConfig config, DecoderSpec spec) {
    return scaled(config, spec, 1 / config.doubleValue("logits_scaling", 1));
  }

  private static DecoderSpec scaled(ModelConfig config, DecoderSpec spec, double logits) {
    float embedded = (float) config.doubleValue("embedding_multiplier", 1);
    return spec.withOpening(new Step.Scale(embedded, "x"))
        .withHead(new DecoderSpec.Head(spec.head().matrix(), Optional.empty(), (float) logits, 0));
  }
}
