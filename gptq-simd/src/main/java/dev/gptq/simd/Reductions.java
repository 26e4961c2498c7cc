package dev.gptq.simd;

import dev.gptq.tensor.Tensor;
import jdk.incubator.vector.FloatVector;

/** Sums over all elements of a matrix, in float64. */
final class Reductions {
  private Reductions() {}

  /** The matrix with contiguous rows: itself or its transpose. */
  static Matrix runs(Tensor tensor) {
    Matrix m = Matrix.of(tensor);
    return m.rowsContiguous() ? m : m.transposed();
  }

  /** {@code Σ x²} over the rows {@code from} to {@code to} (exclusive). */
  static double squares(Matrix m, int from, int to) {
    double total = 0;
    for (int r = from; r < to; r++) {
      total += dot(m, r, m, r);
    }
    return total;
  }

  /** {@code Σ x[r][j]·y[s][j]}; every lane sums at most 64 products before it is widened. */
  static double dot(Matrix x, int r, Matrix y, int s) {
    int n = x.columns();
    long xs = x.at(r, 0);
    long ys = y.at(s, 0);
    double total = 0;
    int j = 0;
    while (j + Lanes.COUNT <= n) {
      int end = Math.min(Lanes.F.loopBound(n), j + 64 * Lanes.COUNT);
      FloatVector sum = FloatVector.zero(Lanes.F);
      for (; j < end; j += Lanes.COUNT) {
        FloatVector v = Lanes.load(x.segment(), xs + 4L * j);
        sum = v.fma(Lanes.load(y.segment(), ys + 4L * j), sum);
      }
      total += Lanes.sum(sum);
    }
    for (; j < n; j++) {
      total +=
          (double) x.segment().get(Lanes.FLOAT, xs + 4L * j)
              * y.segment().get(Lanes.FLOAT, ys + 4L * j);
    }
    return total;
  }

  /** How many elements of the rows {@code from} to {@code to} (exclusive) are NaN or infinite. */
  static double nonFinite(Matrix m, int from, int to) {
    long count = 0;
    for (int r = from; r < to; r++) {
      for (int j = 0; j < m.columns(); j++) {
        float value = Conversion.get(m.type(), m.segment(), m.index(r, j));
        count += Float.isFinite(value) ? 0 : 1;
      }
    }
    return count;
  }
}
