package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** See {@link dev.gptq.backend.TransformerOps#convolve} and its neighbours. */
final class Convolution {
  private static final int L = Lanes.COUNT;

  private Convolution() {}

  /** Rows {@code from} to {@code to} of the convolution. */
  static void run(Matrix x, Matrix weight, int sequences, Matrix y, int from, int to) {
    int inputs = x.rows() / sequences;
    int outputs = y.rows() / sequences;
    int width = weight.rows();
    for (int r = from; r < to; r++) {
      int start = r / outputs * inputs;
      int first = r % outputs + inputs - outputs - width + 1;
      int skipped = Math.max(0, -first);
      for (int c = 0; c < y.columns(); c += L) {
        VectorMask<Float> mask = Lanes.F.indexInRange(c, y.columns());
        FloatVector sum = FloatVector.zero(Lanes.F);
        for (int j = skipped; j < width; j++) {
          FloatVector w = Functions.load(weight.segment(), weight.at(j, c), mask);
          sum = w.fma(Functions.load(x.segment(), x.at(start + first + j, c), mask), sum);
        }
        Functions.store(sum, y.segment(), y.at(r, c), mask);
      }
    }
  }

  private static double softplus(double a) {
    return Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
  }

  /** Rows {@code from} to {@code to} of the softplus; there are as many columns as heads. */
  static void softplus(Matrix x, Matrix shift, float low, float high, Matrix y, int from, int to) {
    for (int r = from; r < to; r++) {
      for (int c = 0; c < y.columns(); c++) {
        double a =
            (double) x.segment().get(Lanes.FLOAT, x.at(r, c))
                + shift.segment().get(Lanes.FLOAT, shift.at(0, c));
        float value = (float) Math.min(Math.max(softplus(a), low), high);
        y.segment().set(Lanes.FLOAT, y.at(r, c), value);
      }
    }
  }

  /** Rows {@code from} to {@code to} of the decay; there are as many columns as heads, so few. */
  static void decay(Matrix x, Matrix shift, Matrix rate, Matrix y, int from, int to) {
    for (int r = from; r < to; r++) {
      for (int c = 0; c < y.columns(); c++) {
        double a =
            (double) x.segment().get(Lanes.FLOAT, x.at(r, c))
                + shift.segment().get(Lanes.FLOAT, shift.at(0, c));
        double decay = Math.exp(-rate.segment().get(Lanes.FLOAT, rate.at(0, c)) * softplus(a));
        y.segment().set(Lanes.FLOAT, y.at(r, c), (float) decay);
      }
    }
  }
}
