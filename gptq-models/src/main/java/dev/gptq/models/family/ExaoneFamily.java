package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * EXAONE 4 and K-EXAONE: norms behind attention and feed-forward only, normalised heads; where some
 * layers have a sliding window, the others have no rotary positions. K-EXAONE has norms before
 * attention and feed-forward instead, and behind the first layers experts as DeepSeek V3 has them.
 */
final class ExaoneFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("exaone4", "exaone_moe");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    if (config.modelType().equals("exaone_moe")) {
      return mixture(config, feedForward);
    }
    return LlamaLayout.decoder(
        "EXAONE 4",
        config,
        false,
        layer -> LlamaLayout.postNormBlock(config, attention(config, layer), feedForward));
  }

  private static DecoderSpec mixture(ModelConfig given, FeedForward feedForward) {
    ModelConfig config =
        given.or(
            ImmutableMap.of(
                "rms_norm_eps",
                1e-5,
                "n_routed_experts",
                given.intValue("num_experts", 64),
                "n_shared_experts",
                given.intValue("num_shared_experts", 1),
                "routed_scaling_factor",
                2.5));
    return LlamaLayout.decoder(
        "K-EXAONE",
        config,
        false,
        layer ->
            DeepSeekFamily.isDense(config, layer, 1)
                ? LlamaLayout.block(config, attention(config, layer), feedForward)
                : LlamaLayout.block(
                    config,
                    attention(config, layer),
                    DeepSeekExperts.sigmoid(config, "mlp.e_score_correction_bias")));
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
