package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/**
 * Mistral 7B and its relatives: Llama whose layers may see a sliding window only. Queries of
 * Ministral 3 grow with their position.
 */
final class MistralFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("mistral", "ministral", "ministral3");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    return LlamaLayout.decoder(
        "Mistral",
        config,
        false,
        layer ->
            LlamaLayout.block(
                config, attention(config, LlamaLayout.window(config, layer, true)), feedForward));
  }

  private static Body attention(ModelConfig config, int window) {
    SelfAttention plain = SelfAttention.of(config, window);
    return Ropes.temper(config).<Body>map(plain::tempered).orElse(plain);
  }
}
