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

  /**
   * Requires that of at least a {@code share} of the rows, with the largest value of all rows, or
   * of all but one of a few; no difference may reach that value itself.
   */
  public static void assertMostRowsClose(
      String what, float[] actual, float[] expected, int columns, float tolerance, double share) {
    assertThat(actual).as(what).hasSameSizeAs(expected);
    float scale = 0;
    for (float value : expected) {
      scale = Math.max(scale, Math.abs(value));
    }
    assertClose(what, actual, expected, 1);
    int far = 0;
    int rows = expected.length / columns;
    for (int row = 0; row < rows; row++) {
      boolean all = true;
      for (int i = row * columns; i < (row + 1) * columns; i++) {
        all &= Math.abs(actual[i] - expected[i]) < tolerance * scale;
      }
      far += all ? 0 : 1;
    }
    int allowed = share < 1 ? Math.max(1, (int) ((1 - share) * rows)) : 0;
    assertThat(far).as("%s: rows that are far off, of %s", what, rows).isLessThanOrEqualTo(allowed);
  }
}
