package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.List;
import java.util.Optional;

/** SmolLM3: Llama without rotary positions in every fourth layer. */
final class SmolLmFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("smollm3");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean bias = config.booleanValue("attention_bias", false);
    FeedForward feedForward =
        LlamaLayout.feedForward(config, config.booleanValue("mlp_bias", false));
    return LlamaLayout.decoder(
        "SmolLM3",
        config,
        true,
        layer -> {
          boolean rotated = isRotated(config, layer);
          boolean windows = config.booleanValue("use_sliding_window", false);
          SelfAttention attention =
              SelfAttention.of(config, windows ? LlamaLayout.window(config, layer, rotated) : 0)
                  .withBias(bias, bias);
          return LlamaLayout.block(
              config, rotated ? attention : attention.withRope(Optional.empty()), feedForward);
        });
  }

  private static boolean isRotated(ModelConfig config, int layer) {
    List<Integer> rotated = config.intList("no_rope_layers");
    return layer < rotated.size()
        ? rotated.get(layer) != 0
        : (layer + 1) % config.intBetween("no_rope_layer_interval", 1, Integer.MAX_VALUE, 4) != 0;
  }
}
