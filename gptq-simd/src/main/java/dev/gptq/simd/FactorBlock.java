package dev.gptq.simd;

import dev.gptq.backend.NotPositiveDefiniteException;
import java.lang.foreign.MemorySegment;

/**
 * The base case of {@link InverseCholesky}: for a small block {@code H = R·Rᵀ} and {@code U = R⁻¹},
 * in float64. Everything is stored in reversed order, where R is the usual lower factor L.
 */
final class FactorBlock {
  private final double[] l;
  private final double[] inverse;

  FactorBlock(int size) {
    this.l = new double[size * size];
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
        l[row + j] = (l[row + j] - dot(row, j * size, j)) / l[j * size + j];
      }
      double pivot = l[row + i] - dot(row, row, i);
      if (!(pivot > 0 && pivot < Double.POSITIVE_INFINITY)) {
        throw new NotPositiveDefiniteException(eliminated + i + 1);
      }
      l[row + i] = Math.sqrt(pivot);
    }
  }

  private double dot(int a, int b, int length) {
    double sum = 0;
    for (int k = 0; k < length; k++) {
      sum += l[a + k] * l[b + k];
    }
    return sum;
  }

  private void invert(int size) {
    for (int i = 0; i < size; i++) {
      int row = i * size;
      double diagonal = l[row + i];
      for (int j = 0; j < i; j++) {
        inverse[row + j] = 0;
      }
      for (int k = 0; k < i; k++) {
        double factor = -l[row + k] / diagonal;
        int other = k * size;
        for (int j = 0; j <= k; j++) {
          inverse[row + j] += factor * inverse[other + j];
        }
      }
      inverse[row + i] = 1 / diagonal;
    }
  }
}
