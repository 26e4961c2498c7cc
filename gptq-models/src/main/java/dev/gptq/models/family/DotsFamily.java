package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/**
 * dots.llm1: the attention of Qwen 3, perhaps with a window in late layers; the first layers dense,
 * the others with experts as DeepSeek V3 has them.
 */
final class DotsFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("dots1");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("norm_topk_prob", false));
    return LlamaLayout.decoder(
        "dots.llm1",
        config,
        false,
        layer ->
            DeepSeekFamily.isDense(config, layer, 0)
                ? LlamaLayout.block(
                    config, attention(config, layer), LlamaLayout.feedForward(config, false))
                : LlamaLayout.block(
                    config, attention(config, layer), DeepSeekExperts.sigmoid(config)));
  }

  private static SelfAttention attention(ModelConfig config, int layer) {
    boolean late = layer >= config.intValue("max_window_layers", 62);
    boolean bias = config.booleanValue("attention_bias", false);
    return SelfAttention.of(config, LlamaLayout.window(config, layer, late))
        .withBias(bias, bias)
        .withHeadNorm(NormSpec.Kind.RMS, config.doubleValue("rms_norm_eps", 1e-6));
  }
}
