package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.SelfAttention.QueryKeyNorm;

/** Hunyuan dense: Llama whose rotated queries and keys are normalised head by head. */
final class HunyuanFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("hunyuan_v1_dense");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean bias = config.booleanValue("attention_bias", false);
    float epsilon = (float) config.doubleValue("rms_norm_eps", 1e-5);
    int size = config.headDim();
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withNorms(
                new QueryKeyNorm(
                    new NormSpec("self_attn.query_layernorm", Kind.RMS, size, epsilon),
                    new NormSpec("self_attn.key_layernorm", Kind.RMS, size, epsilon),
                    true));
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    return LlamaLayout.decoder(
        "Hunyuan", config, false, layer -> LlamaLayout.block(config, attention, feedForward));
  }
}
