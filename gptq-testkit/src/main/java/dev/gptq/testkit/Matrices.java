package dev.gptq.testkit;

import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import java.util.Arrays;

/** Textbook matrix arithmetic in float64. */
final class Matrices {
  private Matrices() {}

  private static Matrix exact(int rows, int columns, double[] values) {
    return new Matrix(DType.F64, Layout.ROW_MAJOR, rows, columns, values);
  }

  static Matrix multiply(Matrix a, Matrix b) {
    double[] product = new double[a.rows() * b.columns()];
    for (int i = 0; i < a.rows(); i++) {
      for (int k = 0; k < a.columns(); k++) {
        for (int j = 0; j < b.columns(); j++) {
          product[i * b.columns() + j] += a.at(i, k) * b.at(k, j);
        }
      }
    }
    return exact(a.rows(), b.columns(), product);
  }

  static Matrix subtract(Matrix a, Matrix b) {
    double[] difference = new double[a.values().length];
    Arrays.setAll(difference, i -> a.values()[i] - b.values()[i]);
    return exact(a.rows(), a.columns(), difference);
  }

  static double trace(Matrix a) {
    double sum = 0;
    for (int i = 0; i < a.rows(); i++) {
      sum += a.at(i, i);
    }
    return sum;
  }

  /** Number of equal elements. */
  static long countEqual(Matrix a, Matrix b) {
    long count = 0;
    for (int i = 0; i < a.values().length; i++) {
      count += a.values()[i] == b.values()[i] ? 1 : 0;
    }
    return count;
  }

  /** By Gauss and Jordan, without a choice of pivots: for positive definite matrices. */
  static double[][] inverse(Matrix h) {
    int n = h.rows();
    double[][] a = new double[n][2 * n];
    for (int i = 0; i < n; i++) {
      System.arraycopy(h.values(), i * n, a[i], 0, n);
      a[i][n + i] = 1;
    }
    for (int k = 0; k < n; k++) {
      double pivot = a[k][k];
      for (int j = 0; j < 2 * n; j++) {
        a[k][j] /= pivot;
      }
      for (int i = 0; i < n; i++) {
        double factor = a[i][k];
        for (int j = 0; i != k && j < 2 * n; j++) {
          a[i][j] -= factor * a[k][j];
        }
      }
    }
    double[][] inverse = new double[n][];
    for (int i = 0; i < n; i++) {
      inverse[i] = Arrays.copyOfRange(a[i], n, 2 * n);
    }
    return inverse;
  }

  /**
   * {@code H = R·diag(d)·Rᵀ} with a unit upper triangular R.
   *
   * @param upper R
   * @param pivots d
   */
  record UpperFactors(Matrix upper, ImmutableDoubleArray pivots) {}

  /** Eliminates from the last row and column on. */
  static UpperFactors upperFactors(Matrix h) {
    int n = h.rows();
    double[] a = h.values().clone();
    double[] upper = new double[n * n];
    double[] pivots = new double[n];
    for (int k = n - 1; k >= 0; k--) {
      pivots[k] = a[k * n + k];
      for (int i = 0; i <= k; i++) {
        upper[i * n + k] = a[i * n + k] / pivots[k];
      }
      for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
          a[i * n + j] -= upper[i * n + k] * pivots[k] * upper[j * n + k];
        }
      }
    }
    return new UpperFactors(exact(n, n, upper), ImmutableDoubleArray.copyOf(pivots));
  }
}
