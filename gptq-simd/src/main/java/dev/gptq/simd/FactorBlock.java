package dev.gptq.simd;

import dev.gptq.backend.NotPositiveDefiniteException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.DoubleVector;

/**
 * The base case of {@link InverseCholesky}: for a small block {@code H = R·Rᵀ} and {@code U = R⁻¹},
 * in float64. Everything is stored in reversed order, where R is the usual lower factor L.
 */
final class FactorBlock {
  private final double[] l;
  private final double[] columns;
  private final double[] inverse;

  FactorBlock(int size) {
    this.l = new double[size * size];
    this.columns = new double[size * size];
    this.inverse = new double[size * size];
  }

  /** Reads the lower triangle of h in rows and columns from … to − 1, sets that upper part of u. */
  void factor(Matrix h, Matrix u, int from, int to, int n) {
    int size = to - from;
    for (int i = 0; i < size; i++) {
      for (int j = 0; j <= i; j++) {
        l[i * size + j] = h.segment().get(Lanes.FLOAT, h.at(to - 1 - j, to - 1 - i));
      }
    }
    cholesky(size, n - to);
    invert(size);
    MemorySegment target = u.segment();
    for (int i = 0; i < size; i++) {
      for (int j = 0; j <= i; j++) {
        target.set(Lanes.FLOAT, u.at(to - 1 - i, to - 1 - j), (float) inverse[i * size + j]);
      }
    }
  }

  /** Row by row, the first pivot that is not a positive number ends it. */
  private void cholesky(int size, int eliminated) {
    for (int i = 0; i < size; i++) {
      int row = i * size;
      for (int j = 0; j < i; j++) {
        int column = j * size;
        double factor = l[row + j] / l[column + j];
        l[row + j] = factor;
        columns[column + i] = factor;
        add(-factor, columns, column + j + 1, l, row + j + 1, i - j);
      }
      double pivot = l[row + i];
      if (!(pivot > 0 && pivot < Double.POSITIVE_INFINITY)) {
        throw new NotPositiveDefiniteException(eliminated + i + 1);
      }
      l[row + i] = Math.sqrt(pivot);
    }
  }

  private void invert(int size) {
    for (int i = 0; i < size; i++) {
      int row = i * size;
      double diagonal = l[row + i];
      Arrays.fill(inverse, row, row + i, 0);
      for (int k = 0; k < i; k++) {
        add(-l[row + k] / diagonal, inverse, k * size, inverse, row, k + 1);
      }
      inverse[row + i] = 1 / diagonal;
    }
  }

  /** {@code y ← y + factor·x} for {@code count} elements. */
  private static void add(double factor, double[] x, int xAt, double[] y, int yAt, int count) {
    int i = 0;
    for (; i < Lanes.D.loopBound(count); i += Lanes.D.length()) {
      DoubleVector sum = DoubleVector.fromArray(Lanes.D, y, yAt + i);
      DoubleVector product = DoubleVector.fromArray(Lanes.D, x, xAt + i).mul(factor);
      sum.add(product).intoArray(y, yAt + i);
    }
    for (; i < count; i++) {
      y[yAt + i] += factor * x[xAt + i];
    }
  }
}
