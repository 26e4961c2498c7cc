package dev.gptq.models.family;

import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.backend.RopePairs;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.config.RopeParameters;
import java.util.List;
import java.util.Optional;

/** Rotary positions from {@code config.json}. */
public final class Ropes {
  private Ropes() {}

  /** The rotation of the first channels of heads of that size. */
  public static RopeSpec of(ModelConfig config, int headSize) {
    return of(config, config.rope(), headSize);
  }

  /** All channels of heads of that size with the plain frequencies of a base. */
  public static RopeSpec plain(double theta, int headSize) {
    return spec(Frequencies.plain(theta, headSize, headSize), 1);
  }

  /** The same with parameters of some layers only. */
  public static RopeSpec of(ModelConfig config, RopeParameters rope, int headSize) {
    int rotated = (int) (headSize * rope.partialRotaryFactor());
    if (rotated < 2 || rotated % 2 != 0 || rotated > headSize) {
      throw new BadInputException(
          "%s: %d channels of %d of a head would be rotated, which are no pairs; is it the file of"
                  .formatted(config.file(), rotated, headSize)
              + " another model?");
    }
    double[] plain = Frequencies.plain(rope.theta(), rotated, rotated);
    return switch (rope.type()) {
      case "default" -> spec(plain, 1);
      // Within the context that config.json states, the base is as it was.
      case "dynamic" -> spec(dynamic(config, rope, plain), 1);
      case "linear" -> spec(Frequencies.linear(plain, rope.factor()), 1);
      case "llama3" -> spec(Frequencies.llama3(plain, rope, original(config, rope)), 1);
      case "yarn" -> yarn(config, rope, plain);
      case "longrope" -> longrope(config, rope, plain);
      case "proportional" -> {
        double[] first = Frequencies.plain(rope.theta(), rotated / 2 * 2, headSize);
        yield spec(Frequencies.linear(Frequencies.padded(first, headSize / 2), rope.factor()), 1);
      }
      default ->
          throw Switches.refused(
              config,
              "rope_type",
              rope.type(),
              "default, linear, dynamic, llama3, yarn, longrope and proportional are supported");
    };
  }

  /** Hunyuan's variant of dynamic stretches the base once and for all. */
  private static double[] dynamic(ModelConfig config, RopeParameters rope, double[] plain) {
    if (rope.alpha().isEmpty()) {
      return plain;
    }
    int size = config.headDim();
    double base = rope.theta() * Math.pow(rope.alpha().getAsDouble(), size / (size - 2.0));
    return Frequencies.plain(base, 2 * plain.length, size);
  }

  private static RopeSpec yarn(ModelConfig config, RopeParameters rope, double[] plain) {
    int original = original(config, rope);
    double factor = stretch(config, rope, original);
    double scale =
        rope.attentionFactor()
            .orElseGet(() ->
                rope.mscale() != 0 && rope.mscaleAllDim() != 0
                    ? magnitude(factor, rope.mscale()) / magnitude(factor, rope.mscaleAllDim())
                    : magnitude(factor, 1));
    return spec(Frequencies.yarn(plain, rope, factor, original), scale);
  }

  /** What queries far behind the original context are multiplied by, if they are. */
  static Optional<Step.Temper> temper(ModelConfig config) {
    double beta =
        config
            .section("rope_parameters")
            .map(rope -> rope.doubleValue("llama_4_scaling_beta", 0))
            .orElse(0.0);
    return beta == 0
        ? Optional.empty()
        : Optional.of(new Step.Temper("q", 0, original(config, config.rope()), beta));
  }

  /** YaRN's factor on attention for a context that is stretched so much. */
  static double magnitude(double factor, double scale) {
    return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
  }

  private static RopeSpec longrope(ModelConfig config, RopeParameters rope, double[] plain) {
    int original = original(config, rope);
    double factor = stretch(config, rope, original);
    double scale =
        rope.attentionFactor()
            .orElseGet(
                () -> factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
    double[] within = Frequencies.divided(plain, divisors(config, "short_factor", rope, plain));
    double[] beyond = Frequencies.divided(plain, divisors(config, "long_factor", rope, plain));
    return new RopeSpec(
        ImmutableDoubleArray.copyOf(within),
        scale,
        RopePairs.HALVES,
        Optional.of(new RopeSpec.Beyond(original, ImmutableDoubleArray.copyOf(beyond))));
  }

  private static List<Double> divisors(
      ModelConfig config, String key, RopeParameters rope, double[] plain) {
    List<Double> divisors = key.equals("long_factor") ? rope.longFactor() : rope.shortFactor();
    if (divisors.size() != plain.length) {
      throw new BadInputException(
          "%s: '%s' has %d numbers where %d channel pairs are rotated"
              .formatted(config.file(), key, divisors.size(), plain.length));
    }
    return divisors;
  }

  private static int original(ModelConfig config, RopeParameters rope) {
    return rope.originalMaxPosition().orElseGet(() -> config.context("max_position_embeddings"));
  }

  /** By how much the context is longer than the original one; said, or seen. */
  private static double stretch(ModelConfig config, RopeParameters rope, int original) {
    return rope.hasFactor()
        ? rope.factor()
        : (double) config.context("max_position_embeddings") / original;
  }

  private static RopeSpec spec(double[] frequencies, double factor) {
    return new RopeSpec(
        ImmutableDoubleArray.copyOf(frequencies), factor, RopePairs.HALVES, Optional.empty());
  }
}
