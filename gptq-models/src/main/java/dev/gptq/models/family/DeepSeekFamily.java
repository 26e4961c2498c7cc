package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/**
 * DeepSeek V2, V3 and their relatives: keys and values from a common latent, queries perhaps from
 * another, a part of each head rotated and that of the keys shared; the first layers dense, the
 * others with experts.
 */
final class DeepSeekFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("deepseek_v2", "deepseek_v3", "kimi_k2");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean second = config.modelType().equals("deepseek_v2");
    LatentAttention attention = LatentAttention.of(config, second);
    int dense = config.intValue("first_k_dense_replace", second ? 0 : 3);
    boolean bias = config.booleanValue("mlp_bias", false);
    return LlamaLayout.decoder(
        second ? "DeepSeek V2" : "DeepSeek V3",
        config,
        false,
        layer ->
            layer < dense
                ? LlamaLayout.block(config, attention, LlamaLayout.feedForward(config, bias))
                : LlamaLayout.block(
                    config,
                    attention,
                    second ? DeepSeekExperts.softmax(config) : DeepSeekExperts.sigmoid(config)));
  }
}
