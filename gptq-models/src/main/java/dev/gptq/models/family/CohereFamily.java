package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.SelfAttention.QueryKeyNorm;
import java.util.Optional;

/**
 * Command R: attention and feed-forward side by side behind one layer norm without bias,
 * neighbouring channels rotated, a factor on the logits. Version 2 has a sliding window and rotary
 * positions in three layers of four, neither in the fourth; it may have experts.
 */
final class CohereFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("cohere", "cohere2", "cohere2_moe");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    if (given.modelType().equals("cohere2_moe")) {
      return CohereExperts.describe(
          given.or(ImmutableMap.of("rope_theta", 1e4, "logit_scale", 0.0625, "head_dim", 128)));
    }
    boolean second = given.modelType().equals("cohere2");
    ModelConfig config =
        given.or(ImmutableMap.of("rope_theta", second ? 1e4 : 5e5, "logit_scale", 0.0625));
    boolean bias = config.booleanValue("attention_bias", false);
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    NormSpec norm = norm(config, "input_layernorm");
    DecoderSpec spec =
        LlamaLayout.decoder(
            second ? "Command R7B" : "Command R",
            config,
            true,
            norm(config, "norm"),
            layer ->
                Branch.parallel(
                    norm,
                    (second ? windowed(config, layer) : full(config)).withBias(bias, bias),
                    feedForward));
    return scaled(config, spec);
  }

  /** The factor on the logits. */
  static DecoderSpec scaled(ModelConfig config, DecoderSpec spec) {
    return spec.withHead(
        new DecoderSpec.Head(
            spec.head().matrix(), Optional.empty(), (float) config.doubleValue("logit_scale"), 0));
  }

  private static SelfAttention full(ModelConfig config) {
    SelfAttention attention = SelfAttention.of(config, 0).withRope(Optional.of(rope(config)));
    if (!config.booleanValue("use_qk_norm", false)) {
      return attention;
    }
    return attention.withNorms(
        new QueryKeyNorm(
            headNorm(config, "self_attn.q_norm", attention.shape().heads()),
            headNorm(config, "self_attn.k_norm", attention.shape().keyValueHeads()),
            false));
  }

  private static SelfAttention windowed(ModelConfig config, int layer) {
    int pattern = config.intBetween("sliding_window_pattern", 1, Integer.MAX_VALUE, 4);
    boolean sliding = LlamaLayout.isSliding(config, layer, (layer + 1) % pattern != 0);
    return SelfAttention.of(
            config, sliding ? config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 4096) : 0)
        .withRope(sliding ? Optional.of(rope(config)) : Optional.empty());
  }

  static RopeSpec rope(ModelConfig config) {
    return Ropes.of(config, config.headDim()).withPairs(RopePairs.ADJACENT);
  }

  private static NormSpec headNorm(ModelConfig config, String name, int heads) {
    float epsilon = (float) config.doubleValue("layer_norm_eps", 1e-5);
    return new NormSpec(name, NormSpec.Kind.LAYER_UNBIASED, config.headDim(), heads, epsilon);
  }

  static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, NormSpec.Kind.LAYER_UNBIASED, name, "layer_norm_eps", 1e-5);
  }
}
