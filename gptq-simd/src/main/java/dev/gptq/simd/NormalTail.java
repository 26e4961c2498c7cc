package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;

/**
 * The tail of the normal distribution without its exponential: {@code Φ(−a) = g(a)·e^(−a²/2)} for a
 * ≥ 0. With {@code t = (a − 2)/(a + 2)}, g is smooth on [−1, 1); its Chebyshev coefficients are
 * computed once, from the series of Φ for small a and the continued fraction of Laplace beyond
 * (Abramowitz and Stegun, 26.2.11 and 26.2.14).
 */
final class NormalTail {
  private static final int TERMS = 18;
  private static final int NODES = 64;
  private static final double SERIES_LIMIT = 3;
  private static final float[] COEFFICIENTS = coefficients();

  private NormalTail() {}

  /** g(a) for non-negative lanes, by Clenshaw's recurrence. */
  static FloatVector ratio(FloatVector a) {
    FloatVector t = a.sub(2f).div(a.add(2f));
    FloatVector twice = t.add(t);
    FloatVector next = FloatVector.zero(Lanes.F);
    FloatVector b = next;
    for (int k = TERMS - 1; k > 0; k--) {
      FloatVector last = b;
      b = twice.fma(b, FloatVector.broadcast(Lanes.F, COEFFICIENTS[k]).sub(next));
      next = last;
    }
    return t.fma(b, FloatVector.broadcast(Lanes.F, COEFFICIENTS[0]).sub(next));
  }

  private static float[] coefficients() {
    double[] values = new double[NODES];
    for (int i = 0; i < NODES; i++) {
      double t = Math.cos(Math.PI * (i + 0.5) / NODES);
      values[i] = exactRatio(2 * (1 + t) / (1 - t));
    }
    float[] coefficients = new float[TERMS];
    for (int k = 0; k < TERMS; k++) {
      double sum = 0;
      for (int i = 0; i < NODES; i++) {
        sum += values[i] * Math.cos(Math.PI * k * (i + 0.5) / NODES);
      }
      coefficients[k] = (float) ((k == 0 ? 1.0 : 2.0) / NODES * sum);
    }
    return coefficients;
  }

  private static double exactRatio(double a) {
    double density = 1 / Math.sqrt(2 * Math.PI);
    if (a < SERIES_LIMIT) {
      double term = a;
      double sum = a;
      for (int n = 1; term > 1e-18 * sum; n++) {
        term *= a * a / (2 * n + 1);
        sum += term;
      }
      return 0.5 * Math.exp(a * a / 2) - density * sum;
    }
    double fraction = a;
    for (int n = 100; n > 0; n--) {
      fraction = a + n / fraction;
    }
    return density / fraction;
  }
}
