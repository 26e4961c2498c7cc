package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * EXAONE 4: norms behind attention and feed-forward only, normalised heads; where some layers have
 * a sliding window, the others have no rotary positions.
 */
final class ExaoneFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("exaone4");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    return LlamaLayout.decoder(
        "EXAONE 4",
        config,
        false,
        layer -> LlamaLayout.postNormBlock(config, attention(config, layer), feedForward));
  }

  private static SelfAttention attention(ModelConfig config, int layer) {
    int window = config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 0);
    boolean sliding = LlamaLayout.isSliding(config, layer, window > 0 && inPattern(config, layer));
    SelfAttention attention =
        SelfAttention.of(config, sliding ? window : 0)
            .withHeadNorm(NormSpec.Kind.RMS, config.doubleValue("rms_norm_eps", 1e-5));
    return window == 0 || sliding ? attention : attention.withRope(Optional.empty());
  }

  /** The pattern is a text such as {@code LLLG}, or the number of layers after which it repeats. */
  private static boolean inPattern(ModelConfig config, int layer) {
    boolean last = layer == config.blocks("num_hidden_layers") - 1;
    if (config.find("sliding_window_pattern").filter(node -> node.isString()).isPresent()) {
      String pattern = config.stringValue("sliding_window_pattern");
      return !last && pattern.charAt(layer % pattern.length()) == 'L';
    }
    return !last
        && (layer + 1) % config.intBetween("sliding_window_pattern", 1, Integer.MAX_VALUE, 4) != 0;
  }
}
