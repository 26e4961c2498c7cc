package dev.gptq.models.family;

import com.google.common.primitives.ImmutableDoubleArray;
import java.util.Arrays;

/**
 * Rotary positions: channel pair c turns by the angle {@code position · frequency[c]}.
 *
 * @param frequencies one for each pair of rotated channels
 * @param factor multiplies sine and cosine; 1 for most models
 */
public record RopeSpec(ImmutableDoubleArray frequencies, double factor) {

  /** The plain frequencies {@code θ^(−2c/r)}, c = 0 … r/2 − 1. */
  public static double[] plain(double theta, int rotated) {
    double[] frequencies = new double[rotated / 2];
    for (int c = 0; c < frequencies.length; c++) {
      frequencies[c] = Math.pow(theta, -2.0 * c / rotated);
    }
    return frequencies;
  }

  /** Frequencies divided by a factor: positions are interpolated evenly. */
  public static double[] linear(double[] plain, double factor) {
    return Arrays.stream(plain).map(frequency -> frequency / factor).toArray();
  }

  /**
   * The frequencies of Llama 3.1: wavelengths over {@code original/low} are stretched by {@code
   * factor}, those under {@code original/high} stay, those between are interpolated.
   */
  public static double[] llama3(
      double[] plain, double factor, double low, double high, int original) {
    double[] frequencies = plain.clone();
    for (int c = 0; c < frequencies.length; c++) {
      double turns = original * frequencies[c] / (2 * Math.PI);
      double smooth = Math.clamp((turns - low) / (high - low), 0, 1);
      frequencies[c] *= (1 - smooth) / factor + smooth;
    }
    return frequencies;
  }

  /** {@code factor·cos} of all angles, positions × frequencies, row by row. */
  public float[] cosines(int positions) {
    return table(positions, true);
  }

  /** {@code factor·sin} of all angles, positions × frequencies, row by row. */
  public float[] sines(int positions) {
    return table(positions, false);
  }

  private float[] table(int positions, boolean cosine) {
    int n = frequencies.length();
    float[] table = new float[Math.multiplyExact(positions, n)];
    for (int p = 0, i = 0; p < positions; p++) {
      for (int c = 0; c < n; c++, i++) {
        // Inference code computes the angle in float32; at long positions that is what models know.
        double angle = (float) frequencies.get(c) * (float) p;
        table[i] = (float) (factor * (cosine ? Math.cos(angle) : Math.sin(angle)));
      }
    }
    return table;
  }
}
