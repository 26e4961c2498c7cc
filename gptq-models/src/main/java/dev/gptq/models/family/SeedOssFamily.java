package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/** Seed-OSS: Llama with biases on queries, keys and values, and perhaps on the output. */
final class SeedOssFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("seed_oss");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    SelfAttention attention =
        SelfAttention.of(config.or(ImmutableMap.of("head_dim", 128)), 0)
            .withBias(
                config.booleanValue("attention_bias", true),
                config.booleanValue("attention_out_bias", false));
    FeedForward feedForward =
        LlamaLayout.feedForward(config, config.booleanValue("mlp_bias", false));
    return LlamaLayout.decoder(
        "Seed-OSS", config, false, layer -> LlamaLayout.block(config, attention, feedForward));
  }
}
