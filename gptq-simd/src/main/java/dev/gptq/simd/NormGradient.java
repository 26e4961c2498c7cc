package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Derivatives of RMS and layer normalisation of runs of n channels; sums in float64. */
final class NormGradient {
  private NormGradient() {}

  /** {@code dx ← r·(h − x·r²·mean(h∘x))} with {@code h = gain∘dy}, on the rows from … to − 1. */
  static void rms(Matrix x, Matrix gain, float epsilon, Matrix dy, Matrix dx, int from, int to) {
    int n = gain.columns();
    for (int row = from; row < to; row++) {
      for (int c = 0; c < x.columns(); c += n) {
        Matrix run = x.block(row, row + 1, c, c + n);
        Matrix d = dy.block(row, row + 1, c, c + n);
        double r = 1 / Math.sqrt(Reductions.dot(run, 0, run, 0) / n + epsilon);
        double dot = products(run, 0, gain, d);
        Matrix out = dx.block(row, row + 1, c, c + n);
        apply(run, 0, gain, d, new float[] {(float) r, 0, (float) (r * r * r * dot / n)}, out);
      }
    }
  }

  /** {@code dx ← r·(h − mean(h) − z·mean(h∘z))}, {@code z = r·(x − mean)}. */
  static void layer(Matrix x, Matrix gain, float epsilon, Matrix dy, Matrix dx, int from, int to) {
    int n = x.columns();
    for (int row = from; row < to; row++) {
      Matrix run = x.block(row, row + 1, 0, n);
      Matrix d = dy.block(row, row + 1, 0, n);
      double mean = 0;
      for (int j = 0; j < n; j++) {
        mean += run.segment().get(Lanes.FLOAT, run.at(0, j));
      }
      mean /= n;
      double squares = 0;
      for (int j = 0; j < n; j++) {
        double deviation = run.segment().get(Lanes.FLOAT, run.at(0, j)) - mean;
        squares += deviation * deviation;
      }
      double r = 1 / Math.sqrt(squares / n + epsilon);
      double sum = Reductions.dot(gain, 0, d, 0);
      double dot = products(run, mean, gain, d);
      float[] factors = {(float) r, (float) (r * sum / n), (float) (r * r * r * dot / n)};
      apply(run, (float) mean, gain, d, factors, dx.block(row, row + 1, 0, n));
    }
  }

  /** {@code Σ (x − shift)·gain·dy}. */
  private static double products(Matrix x, double shift, Matrix gain, Matrix dy) {
    double sum = 0;
    for (int j = 0; j < x.columns(); j++) {
      double h =
          (double) gain.segment().get(Lanes.FLOAT, gain.at(0, j))
              * dy.segment().get(Lanes.FLOAT, dy.at(0, j));
      sum += h * (x.segment().get(Lanes.FLOAT, x.at(0, j)) - shift);
    }
    return sum;
  }

  /** {@code dx ← a·gain·dy − b − c·(x − shift)} with the factors a, b, c. */
  private static void apply(
      Matrix x, float shift, Matrix gain, Matrix dy, float[] factors, Matrix dx) {
    int n = x.columns();
    for (int j = 0; j < n; j += Lanes.COUNT) {
      VectorMask<Float> mask = Lanes.F.indexInRange(j, n);
      FloatVector h =
          Functions.load(gain.segment(), gain.at(0, j), mask)
              .mul(Functions.load(dy.segment(), dy.at(0, j), mask));
      FloatVector deviation = Functions.load(x.segment(), x.at(0, j), mask).sub(shift);
      FloatVector d = h.mul(factors[0]).sub(factors[1]).sub(deviation.mul(factors[2]));
      Functions.store(d, dx.segment(), dx.at(0, j), mask);
    }
  }
}
