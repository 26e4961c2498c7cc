package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/** Granite 3: Llama with factors on embeddings, scores, branches and logits. */
final class GraniteFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("granite");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withScores((float) config.doubleValue("attention_multiplier", 1), 0);
    FeedForward feedForward =
        LlamaLayout.feedForward(config, config.booleanValue("mlp_bias", false));
    return scaled(
        config,
        LlamaLayout.decoder(
            "Granite", config, false, layer -> block(config, attention, feedForward)));
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
    float embedded = (float) config.doubleValue("embedding_multiplier", 1);
    float logits = (float) (1 / config.doubleValue("logits_scaling", 1));
    return spec.withOpening(new Step.Scale(embedded, "x"))
        .withHead(new DecoderSpec.Head(spec.head().matrix(), Optional.empty(), logits, 0));
  }
}
