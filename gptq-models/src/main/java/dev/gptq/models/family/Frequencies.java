package dev.gptq.models.family;

import dev.gptq.models.config.RopeParameters;
import java.util.Arrays;
import java.util.List;

/** The ways to find the frequencies of rotary positions; r is the number of rotated channels. */
final class Frequencies {
  private Frequencies() {}

  /** {@code θ^(−2c/size)}, c = 0 … r/2 − 1. */
  static double[] plain(double theta, int rotated, int size) {
    double[] frequencies = new double[rotated / 2];
    Arrays.setAll(frequencies, c -> Math.pow(theta, -2.0 * c / size));
    return frequencies;
  }

  /** Positions are interpolated evenly. */
  static double[] linear(double[] plain, double factor) {
    return Arrays.stream(plain).map(frequency -> frequency / factor).toArray();
  }

  /**
   * Llama 3.1: wavelengths over {@code original/low} are stretched by {@code factor}, those under
   * {@code original/high} stay, those between are interpolated.
   */
  static double[] llama3(double[] plain, RopeParameters rope, int original) {
    double[] frequencies = plain.clone();
    for (int c = 0; c < frequencies.length; c++) {
      double turns = original * frequencies[c] / (2 * Math.PI);
      double low = rope.lowFreqFactor();
      double smooth = Math.clamp((turns - low) / (rope.highFreqFactor() - low), 0, 1);
      frequencies[c] *= (1 - smooth) / rope.factor() + smooth;
    }
    return frequencies;
  }

  /**
   * YaRN: channels that turn more than {@code betaFast} times within the original context stay,
   * those that turn less than {@code betaSlow} times are stretched, those between are interpolated
   * along their index.
   */
  static double[] yarn(double[] plain, RopeParameters rope, double factor, int original) {
    int rotated = 2 * plain.length;
    double low = turning(rope.betaFast(), rotated, rope.theta(), original);
    double high = turning(rope.betaSlow(), rotated, rope.theta(), original);
    double from = Math.max(rope.truncate() ? Math.floor(low) : low, 0);
    double to = Math.min(rope.truncate() ? Math.ceil(high) : high, rotated - 1);
    double width = from == to ? 0.001 : to - from;
    double[] frequencies = plain.clone();
    for (int c = 0; c < frequencies.length; c++) {
      double stretched = Math.clamp((c - from) / width, 0, 1);
      frequencies[c] *= stretched / factor + 1 - stretched;
    }
    return frequencies;
  }

  /** The channel pair, a fraction, that turns so many times within the original context. */
  private static double turning(double turns, int rotated, double theta, int original) {
    return rotated * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  }

  /** LongRoPE: every frequency has a divisor of its own. */
  static double[] divided(double[] plain, List<Double> divisors) {
    double[] frequencies = plain.clone();
    Arrays.setAll(frequencies, c -> frequencies[c] / divisors.get(c));
    return frequencies;
  }

  /** Frequencies of the first pairs, and 0 for the others of a head. */
  static double[] padded(double[] first, int pairs) {
    return Arrays.copyOf(first, pairs);
  }
}
