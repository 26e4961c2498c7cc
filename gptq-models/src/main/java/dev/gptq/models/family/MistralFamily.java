package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/** Mistral 7B and its relatives: Llama whose layers may see a sliding window only. */
final class MistralFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("mistral");
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
                config,
                SelfAttention.of(config, LlamaLayout.window(config, layer, true)),
                feedForward));
  }
}
