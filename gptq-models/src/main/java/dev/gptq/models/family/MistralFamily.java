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
    FeedForward feedForward =
        FeedForward.named(
            "mlp.",
            config.intValue("hidden_size"),
            config.intValue("intermediate_size"),
            Switches.activation(config, "hidden_act", "silu"),
            false);
    return LlamaLayout.decoder(
        "Mistral",
        config,
        layer ->
            LlamaLayout.block(
                config,
                SelfAttention.of(config, LlamaLayout.window(config, layer, true)),
                feedForward));
  }
}
