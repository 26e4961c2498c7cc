package dev.gptq.testkit;

import dev.gptq.tensor.DType;

/**
 * How far an element may lie from the oracle's: {@code factor · 2⁻²⁴ · magnitude}, where the
 * magnitude is that of the terms that were summed (at least the element itself), plus one unit in
 * the last place of a shortened output type. All limits of the kit are in this file.
 *
 * @param factor allowed roundings; 0 means the same value
 */
record Tolerance(double factor) {
  /** Unit roundoff of float32. */
  static final double EPSILON = 0x1p-24;

  /** Roundings that any formula may spend beside its sum: division, square root, final store. */
  private static final double SLACK = 8;

  /** The same value; −0 and 0 are the same, and so are two NaNs. */
  static Tolerance exact() {
    return new Tolerance(0);
  }

  /** One or two roundings: an addition, a product, a fused product. */
  static Tolerance rounding() {
    return new Tolerance(2);
  }

  /** A sum of k products, in any order. */
  static Tolerance dot(int k) {
    return new Tolerance(k + SLACK);
  }

  /** Exponential, hyperbolic tangent, error function: a few units in the last place. */
  static Tolerance function() {
    return new Tolerance(16);
  }

  /** A normalisation over n channels: a mean of squares, a root, a product. */
  static Tolerance norm(int n) {
    return new Tolerance(n + 2 * SLACK);
  }

  /**
   * {@code ln Σ exp} over n logits: the sum's relative error is an absolute one of its logarithm.
   */
  static Tolerance logSum(int n) {
    return new Tolerance(n + 2 * SLACK);
  }

  /**
   * Attention relative to {@code Σ p·|v|}: an error d of a score changes each probability by a
   * factor of up to {@code e^(2d)}.
   *
   * @param scoreMagnitude the largest {@code scale·Σ|q||k|} plus the largest bias
   */
  static Tolerance attention(int headSize, int keys, double scoreMagnitude) {
    return new Tolerance(2 * (headSize + 2 * SLACK) * scoreMagnitude + 2 * keys + 2 * SLACK);
  }

  /**
   * Factorisation and inverse of an n × n matrix, relative to the growth {@code |L⁻¹||L||Lᵀ||L⁻ᵀ|}.
   */
  static Tolerance factorisation(int n) {
    return new Tolerance(4 * (n + SLACK));
  }

  /** Solution of a symmetric system of n equations whose condition number is about ten. */
  static Tolerance wellConditionedSolve(int n) {
    return new Tolerance(64 * (n + SLACK));
  }

  /** The largest allowed difference. */
  double bound(double magnitude, DType output) {
    if (factor == 0) {
      return 0;
    }
    // A value under the smallest normal number may be flushed to zero.
    return (factor * EPSILON + lastPlace(output)) * magnitude + Float.MIN_NORMAL;
  }

  private static double lastPlace(DType output) {
    return switch (output) {
      case BF16 -> 0x1p-7;
      case F16 -> 0x1p-10;
      default -> 0;
    };
  }
}
