package dev.gptq.reference;

/**
 * The complementary error function {@code erfc(x) = 1 − erf(x)} in float64: the Maclaurin series of
 * erf for small |x|, the continued fraction of erfc beyond (Abramowitz and Stegun, 7.1.6 and
 * 7.1.14). Relative error under 1e-13.
 */
final class ErrorFunction {
  private static final double SERIES_LIMIT = 2.5;
  private static final int FRACTION_TERMS = 80;

  private ErrorFunction() {}

  static double complement(double x) {
    if (Math.abs(x) < SERIES_LIMIT) {
      return 1 - series(x);
    }
    double tail = fraction(Math.abs(x));
    return x > 0 ? tail : 2 - tail;
  }

  /** {@code erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!}. */
  private static double series(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }

  /** {@code √π·e^(x²)·erfc(x) = 1/(x + ½/(x + 1/(x + 3⁄2/(x + …))))} for x &gt; 0. */
  private static double fraction(double x) {
    double tail = x;
    for (int n = FRACTION_TERMS; n > 0; n--) {
      tail = x + n / 2.0 / tail;
    }
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / tail;
  }
}
