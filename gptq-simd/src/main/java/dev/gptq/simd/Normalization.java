package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** RMS and layer normalisation of runs of n channels; sums in float64. */
final class Normalization {
  private Normalization() {}

  /**
   * {@code y ← x/√(mean(x²) + ε)·gain} on every run of gain's columns in the rows from … to − 1.
   */
  static void rms(Matrix x, Matrix gain, float epsilon, Matrix y, int from, int to) {
    int n = gain.columns();
    for (int r = from; r < to; r++) {
      for (int c = 0; c < x.columns(); c += n) {
        Matrix run = x.block(r, r + 1, c, c + n);
        double squares = Reductions.dot(run, 0, run, 0);
        float factor = (float) (1 / Math.sqrt(squares / n + epsilon));
        apply(run, 0, factor, gain, null, y.block(r, r + 1, c, c + n));
      }
    }
  }

  /** {@code y ← (x − mean)/√(var + ε)·gain + bias} on the rows from … to − 1. */
  static void layer(Matrix x, Matrix gain, Matrix bias, float epsilon, Matrix y, int from, int to) {
    int n = x.columns();
    for (int r = from; r < to; r++) {
      Matrix run = x.block(r, r + 1, 0, n);
      double mean = sum(run) / n;
      double variance = squaredDeviations(run, mean) / n;
      float factor = (float) (1 / Math.sqrt(variance + epsilon));
      apply(run, (float) mean, factor, gain, bias, y.block(r, r + 1, 0, n));
    }
  }

  private static double sum(Matrix run) {
    double sum = 0;
    for (int j = 0; j < run.columns(); j++) {
      sum += run.segment().get(Lanes.FLOAT, run.at(0, j));
    }
    return sum;
  }

  private static double squaredDeviations(Matrix run, double mean) {
    double sum = 0;
    for (int j = 0; j < run.columns(); j++) {
      double d = run.segment().get(Lanes.FLOAT, run.at(0, j)) - mean;
      sum += d * d;
    }
    return sum;
  }

  private static void apply(
      Matrix x, float shift, float factor, Matrix gain, Matrix bias, Matrix y) {
    int n = x.columns();
    int j = 0;
    for (; j <= n - Lanes.COUNT; j += Lanes.COUNT) {
      FloatVector v = Lanes.load(x.segment(), x.at(0, j)).sub(shift).mul(factor);
      v = v.mul(Lanes.load(gain.segment(), gain.at(0, j)));
      if (bias != null) {
        v = v.add(Lanes.load(bias.segment(), bias.at(0, j)));
      }
      Lanes.store(v, y.segment(), y.at(0, j));
    }
    if (j < n) {
      VectorMask<Float> mask = Lanes.F.indexInRange(j, n);
      MemorySegment target = y.segment();
      FloatVector v = Functions.load(x.segment(), x.at(0, j), mask).sub(shift).mul(factor);
      v = v.mul(Functions.load(gain.segment(), gain.at(0, j), mask));
      if (bias != null) {
        v = v.add(Functions.load(bias.segment(), bias.at(0, j), mask));
      }
      Functions.store(v, target, y.at(0, j), mask);
    }
  }
}
