package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/**
 * GLM-4.5 to 4.7: the first layers dense, the others with experts that are chosen as in DeepSeek
 * V3, half of each head rotated, perhaps normalised heads. Solar Open has no dense layers and
 * rotates whole heads.
 */
final class GlmMoeFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("glm4_moe", "solar_open");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    boolean solar = given.modelType().equals("solar_open");
    ModelConfig config =
        given.or(
            solar
                ? ImmutableMap.of("head_dim", 128, "rms_norm_eps", 1e-5, "rope_theta", 1e6)
                : ImmutableMap.of("head_dim", 128, "partial_rotary_factor", 0.5));
    SelfAttention plain =
        SelfAttention.of(config, 0).withBias(config.booleanValue("attention_bias", false), false);
    SelfAttention attention =
        config.booleanValue("use_qk_norm", false)
            ? plain.withHeadNorm(NormSpec.Kind.RMS, config.doubleValue("rms_norm_eps", 1e-5))
            : plain;
    int dense = config.intValue("first_k_dense_replace", solar ? 0 : 1);
    return LlamaLayout.decoder(
        solar ? "Solar Open" : "GLM-4-MoE",
        config,
        false,
        layer ->
            layer < dense
                ? LlamaLayout.block(config, attention, LlamaLayout.feedForward(config, false))
                : LlamaLayout.block(config, attention, DeepSeekExperts.sigmoid(config)));
  }
}
