package dev.gptq.models.config;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.json.JsonConfig;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * Rotary position embedding. Transformers 5 writes one object {@code rope_parameters} (or one for
 * each type of layer inside it); version 4 wrote {@code rope_theta}, {@code partial_rotary_factor}
 * and an object {@code rope_scaling}; GPT-NeoX had {@code rotary_emb_base} and {@code rotary_pct}.
 * All are read.
 *
 * @param theta base of the frequencies
 * @param type default, linear, dynamic, llama3, yarn, longrope or proportional
 * @param factor by which positions are stretched
 * @param lowFreqFactor llama3: waves longer than the original context over this are stretched
 * @param highFreqFactor llama3: waves shorter than the original context over this are kept
 * @param originalMaxPosition the context that the model was trained with before stretching
 * @param partialRotaryFactor the part of a head's features that is rotated
 * @param attentionFactor by which cosine and sine are multiplied, where the file says so
 * @param betaFast yarn: rotations over the original context above which a wave is kept
 * @param betaSlow yarn: rotations below which a wave is stretched
 * @param shortFactor longrope: divisors of each frequency within the original context
 * @param longFactor longrope: divisors beyond it
 * @param hasFactor whether the file states {@code factor}
 * @param truncate yarn: whether the channels between which it interpolates are whole numbers
 * @param mscale yarn: weight of the stretching in the factor on cosine and sine, 0 if not stated
 * @param mscaleAllDim yarn: the same below the fraction line, and in the scale of attention
 * @param alpha Hunyuan's dynamic: by which the base is multiplied, before a power
 */
public record RopeParameters(
    double theta,
    String type,
    double factor,
    double lowFreqFactor,
    double highFreqFactor,
    OptionalInt originalMaxPosition,
    double partialRotaryFactor,
    OptionalDouble attentionFactor,
    double betaFast,
    double betaSlow,
    ImmutableList<Double> shortFactor,
    ImmutableList<Double> longFactor,
    boolean hasFactor,
    boolean truncate,
    double mscale,
    double mscaleAllDim,
    OptionalDouble alpha) {

  /** The same for heads of which another part is rotated. */
  public RopeParameters withPartialRotaryFactor(double part) {
    return new RopeParameters(
        theta,
        type,
        factor,
        lowFreqFactor,
        highFreqFactor,
        originalMaxPosition,
        part,
        attentionFactor,
        betaFast,
        betaSlow,
        shortFactor,
        longFactor,
        hasFactor,
        truncate,
        mscale,
        mscaleAllDim,
        alpha);
  }

  static RopeParameters of(JsonConfig config, Optional<String> layerType) {
    Optional<JsonConfig> current = config.section("rope_parameters");
    Optional<JsonConfig> section =
        current
            .flatMap(parameters -> layerType.flatMap(parameters::section))
            .or(() -> current)
            .or(() -> config.section("rope_scaling"));
    JsonConfig rope = section.orElse(config);
    String type =
        section
            .map(own -> own.stringValue("rope_type", own.stringValue("type", "default")))
            .orElse("default");
    OptionalInt original = rope.optionalInt("original_max_position_embeddings");
    return new RopeParameters(
        theta(config, rope),
        type(type, rope),
        rope.doubleValue("factor", 1),
        rope.doubleValue("low_freq_factor", 1),
        rope.doubleValue("high_freq_factor", 4),
        original.isPresent() ? original : config.optionalInt("original_max_position_embeddings"),
        partialRotaryFactor(config, rope),
        rope.optionalDouble("attention_factor"),
        rope.doubleValue("beta_fast", 32),
        rope.doubleValue("beta_slow", 1),
        rope.doubleList("short_factor"),
        rope.doubleList("long_factor"),
        rope.has("factor"),
        rope.booleanValue("truncate", true),
        rope.doubleValue("mscale", 0),
        rope.doubleValue("mscale_all_dim", 0),
        rope.optionalDouble("alpha"));
  }

  /** Positions of three parts are those of one in texts, where all parts are the same. */
  private static String type(String said, JsonConfig rope) {
    return switch (said) {
      case "su" -> "longrope";
      case "mrope" -> rope.has("mrope_section") ? "default" : said;
      default -> said;
    };
  }

  private static double theta(JsonConfig config, JsonConfig rope) {
    return rope.doubleValue(
        "rope_theta", config.doubleValue("rope_theta", config.doubleValue("rotary_emb_base", 1e4)));
  }

  private static double partialRotaryFactor(JsonConfig config, JsonConfig rope) {
    return rope.doubleBetween(
        "partial_rotary_factor",
        0,
        1,
        config.doubleBetween(
            "partial_rotary_factor", 0, 1, config.doubleBetween("rotary_pct", 0, 1, 1)));
  }
}
