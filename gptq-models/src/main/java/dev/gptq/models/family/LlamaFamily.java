package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/**
 * Llama 1 to 3: RMS norm before attention and feed-forward, rotary positions, shared key/value
 * heads, SwiGLU.
 */
final class LlamaFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("llama");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention = SelfAttention.of(config, 0).withBias(bias, bias);
    FeedForward feedForward =
        LlamaLayout.feedForward(config, config.booleanValue("mlp_bias", false));
    return LlamaLayout.decoder(
        "Llama", config, false, layer -> LlamaLayout.block(config, attention, feedForward));
  }
}
