package dev.gptq.simd;

import dev.gptq.backend.NotPositiveDefiniteException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.DoubleVector;

/**
 * The base case of {@link Cholesky} and {@link TriangularInverse}: for a small block {@code H =
 * V·Vᵀ} and {@code U = V⁻¹}, in float64. Everything is held in reversed order, where V is the usual
 * lower factor.
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

  /**
   * The lower triangle of h becomes {@code Vᵀ}, the upper one of u {@code V⁻¹}.
   *
   * @param eliminated pivots that were taken before, for the message
   */
  void factor(Matrix h, Matrix u, int eliminated) {
    // The lower triangle of H is the upper one of Hᵀ, and V is that of the result.
    Matrix upper = h.transposed();
    load(upper);
    cholesky(h.rows(), eliminated);
    store(l, upper);
    invert(h.rows());
    store(inverse, u);
  }

  /** The upper triangle of u becomes the inverse of that of v. */
  void invert(Matrix v, Matrix u) {
    load(v);
    invert(v.rows());
    store(inverse, u);
  }

  /** Reads the upper triangle of m in reversed order. */
  private void load(Matrix m) {
    int last = m.rows() - 1;
    for (int i = 0; i <= last; i++) {
      for (int j = 0; j <= i; j++) {
        l[i * (last + 1) + j] = m.segment().get(Lanes.FLOAT, m.at(last - i, last - j));
      }
    }
  }

  private static void store(double[] reversed, Matrix m) {
    int last = m.rows() - 1;
    MemorySegment target = m.segment();
    for (int i = 0; i <= last; i++) {
      for (int j = 0; j <= i; j++) {
        target.set(Lanes.FLOAT, m.at(last - i, last - j), (float) reversed[i * (last + 1) + j]);
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
