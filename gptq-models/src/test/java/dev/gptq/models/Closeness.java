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
}
