package dev.gptq.models;

import static org.assertj.core.api.Assertions.assertThat;

/** Compares logits and activations. */
public final class Closeness {
  private Closeness() {}

  /** Requires every difference to be below {@code tolerance} times the largest expected value. */
  public static void assertClose(String what, float[] actual, float[] expected, float tolerance) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    float scale = 0;
    float difference = 0;
    for (int i = 0; i < expected.length; i++) {
      scale = Math.max(scale, Math.abs(expected[i]));
      difference = Math.max(difference, Math.abs(actual[i] - expected[i]));
    }
    // A NaN is below nothing.
    assertThat(difference / scale).as("%s: relative to %s", what, scale).isLessThan(tolerance);
  }

  /** Requires that of at least a {@code share} of the rows, with the largest value of all rows. */
  public static void assertMostRowsClose(
      String what, float[] actual, float[] expected, int columns, float tolerance, double share) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    float scale = 0;
    for (float value : expected) {
      scale = Math.max(scale, Math.abs(value));
    }
    int close = 0;
    int rows = expected.length / columns;
    for (int row = 0; row < rows; row++) {
      boolean all = true;
      for (int i = row * columns; i < (row + 1) * columns; i++) {
        all &= Math.abs(actual[i] - expected[i]) < tolerance * scale;
      }
      close += all ? 1 : 0;
    }
    assertThat((double) close / rows)
        .as("%s: rows that are close, of %s", what, rows)
        .isGreaterThanOrEqualTo(share);
  }
}
