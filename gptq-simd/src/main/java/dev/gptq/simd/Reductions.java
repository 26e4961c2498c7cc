package dev.gptq.simd;

import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Sums over all elements of a matrix, in float64. */
final class Reductions {
  private static final int STRETCH = 64 * Lanes.PARTS;

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

  /** {@code Σ x[r][j]·y[s][j]}; every partial sum has at most 64 products before it is widened. */
  static double dot(Matrix x, int r, Matrix y, int s) {
    int n = x.columns();
    double total = 0;
    for (int j = 0; j < n; j += STRETCH) {
      int count = Math.min(STRETCH, n - j);
      total += products(x.segment(), x.at(r, j), y.segment(), y.at(s, j), count);
    }
    return total;
  }

  private static double products(MemorySegment x, long xs, MemorySegment y, long ys, int count) {
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    int j = 0;
    for (; j <= count - Lanes.COUNT; j += Lanes.COUNT) {
      FloatVector sum = Lanes.load(x, xs + 4L * j).fma(Lanes.load(y, ys + 4L * j), s0);
      // The vectors take turns; see Lanes.PARTS.
      if (Lanes.COUNT == 16) {
        s0 = sum;
      } else if (Lanes.COUNT == 8) {
        s0 = s1;
        s1 = sum;
      } else {
        s0 = s1;
        s1 = s2;
        s2 = s3;
        s3 = sum;
      }
    }
    if (j < count) {
      VectorMask<Float> mask = Lanes.F.indexInRange(j, count);
      FloatVector v = Functions.load(x, xs + 4L * j, mask);
      s0 = v.fma(Functions.load(y, ys + 4L * j, mask), s0);
    }
    return Lanes.COUNT == 4 ? Lanes.sum(s0.add(s2), s1.add(s3)) : Lanes.sum(s0.add(s1));
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
