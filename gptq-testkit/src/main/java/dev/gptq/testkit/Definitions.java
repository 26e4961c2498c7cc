package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.Layout.ROW_MAJOR;

import dev.gptq.backend.AttentionSpec;
import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

/** Error magnitudes and formulas in float64, written from their definitions. */
final class Definitions {
  private Definitions() {}

  /** {@code |α|·|A|·|B| + |β|·|C|}. */
  static Matrix productMagnitude(double alpha, Matrix a, Matrix b, double beta, Matrix c) {
    int n = b.columns();
    double[] sums = new double[a.rows() * n];
    for (int i = 0; i < a.rows(); i++) {
      for (int l = 0; l < a.columns(); l++) {
        double ail = Math.abs(alpha * a.at(i, l));
        for (int j = 0; j < n; j++) {
          sums[i * n + j] += ail * Math.abs(b.at(l, j));
        }
      }
      for (int j = 0; j < n; j++) {
        sums[i * n + j] += Math.abs(beta * c.at(i, j));
      }
    }
    return Matrix.of(a.rows(), n, sums);
  }

  /** {@code |α·x| + |y|}. */
  static Matrix sumMagnitude(double alpha, Matrix x, Matrix y) {
    double[] sums = new double[x.values().length];
    Arrays.setAll(sums, i -> Math.abs(alpha * x.values()[i]) + Math.abs(y.values()[i]));
    return Matrix.of(x.rows(), x.columns(), sums);
  }

  /** {@code tr(A·H·Aᵀ)}. */
  static double traceQuadratic(Matrix a, Matrix h) {
    double sum = 0;
    for (int r = 0; r < a.rows(); r++) {
      for (int k = 0; k < a.columns(); k++) {
        for (int j = 0; j < a.columns(); j++) {
          sum += a.at(r, k) * h.at(k, j) * a.at(r, j);
        }
      }
    }
    return sum;
  }

  /** The largest magnitude. */
  static double largest(Matrix m) {
    return Arrays.stream(m.values()).map(Math::abs).max().orElse(0);
  }

  /** The same lower triangle, NaN above the diagonal: what an operation must not read. */
  static Matrix lowerWithNan(Matrix h) {
    Matrix lower = Matrix.of(h.rows(), h.columns(), h.values());
    for (int i = 0; i < h.rows(); i++) {
      Arrays.fill(lower.values(), i * h.columns() + i + 1, (i + 1) * h.columns(), Double.NaN);
    }
    return lower;
  }

  /**
   * How much a factorisation {@code H = LᵀL} may enlarge rounding errors: the largest diagonal
   * element of {@code |L⁻ᵀ|·|Lᵀ|·|L|·|L⁻¹|}, which would be 1 without cancellation.
   */
  static double factorGrowth(Matrix l) {
    int n = l.rows();
    // X = |L⁻¹|, by columns.
    double[] x = new double[n * n];
    for (int c = 0; c < n; c++) {
      for (int i = c; i < n; i++) {
        double sum = i == c ? 1 : 0;
        for (int k = c; k < i; k++) {
          sum -= l.at(i, k) * x[k * n + c];
        }
        x[i * n + c] = sum / l.at(i, i);
      }
    }
    double growth = 1;
    for (int c = 0; c < n; c++) {
      double squares = 0;
      for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = c; k <= i; k++) {
          sum += Math.abs(l.at(i, k) * x[k * n + c]);
        }
        squares += sum * sum;
      }
      growth = Math.max(growth, squares);
    }
    return growth;
  }

  /**
   * How much the inversion of the diagonal blocks of V into those of U may enlarge rounding errors:
   * the largest element of {@code |U|·|V|}, which would be 1 without cancellation.
   */
  static double inverseGrowth(Matrix v, Matrix u) {
    int width = u.columns();
    double growth = 1;
    for (int i = 0; i < v.rows(); i++) {
      int from = i / width * width;
      for (int j = i; j < Math.min(from + width, v.rows()); j++) {
        double sum = 0;
        for (int k = i; k <= j; k++) {
          sum += Math.abs(u.at(i, k - from) * v.at(k, j));
        }
        growth = Math.max(growth, sum);
      }
    }
    return growth;
  }

  /** {@code (|x| + max|x|)/√(var + ε)·|gain| + |bias|}, row by row. */
  static Matrix layerNormMagnitude(Matrix x, Matrix gain, Matrix bias, double epsilon) {
    int n = x.columns();
    double[] sums = new double[x.values().length];
    for (int r = 0; r < x.rows(); r++) {
      double[] row = Arrays.copyOfRange(x.values(), r * n, (r + 1) * n);
      double mean = Arrays.stream(row).average().orElse(0);
      double variance = Arrays.stream(row).map(v -> (v - mean) * (v - mean)).sum() / n;
      double largest = Arrays.stream(row).map(Math::abs).max().orElse(0);
      for (int c = 0; c < n; c++) {
        double terms = (Math.abs(row[c]) + largest) / Math.sqrt(variance + epsilon);
        sums[r * n + c] = terms * Math.abs(gain.at(0, c)) + Math.abs(bias.at(0, c));
      }
    }
    return Matrix.of(x.rows(), n, sums);
  }

  /** {@code |x·y|}, element by element. */
  static Matrix products(Matrix x, Matrix y) {
    double[] products = new double[x.values().length];
    Arrays.setAll(products, i -> Math.abs(x.values()[i] * y.values()[i]));
    return Matrix.of(x.rows(), x.columns(), products);
  }

  /** A function of the angles of rotary positions, positions × half. */
  static Matrix angles(int positions, int half, DoubleUnaryOperator f) {
    double[] values = new double[positions * half];
    for (int p = 0; p < positions; p++) {
      for (int c = 0; c < half; c++) {
        values[p * half + c] = f.applyAsDouble(p * Math.pow(10_000, -(double) c / half));
      }
    }
    return Matrix.of(positions, half, values);
  }

  /** A bound of {@code scale·Σ|q||k|} over all heads and pairs, and of the ALiBi term. */
  static double scoreMagnitude(Matrix q, Matrix k, AttentionSpec spec, int keys) {
    double dot = largestNorm(q, spec.headSize()) * largestNorm(k, spec.headSize());
    return Math.abs(spec.scale()) * dot + spec.alibi() * keys;
  }

  /** The largest Euclidean norm of a head; {@code Σ|q||k|} is at most the product of two. */
  private static double largestNorm(Matrix m, int headSize) {
    double largest = 0;
    for (int from = 0; from < m.values().length; from += headSize) {
      double squares = 0;
      for (int c = from; c < from + headSize; c++) {
        squares += m.values()[c] * m.values()[c];
      }
      largest = Math.max(largest, squares);
    }
    return Math.sqrt(largest);
  }

  /** A matrix of one value. */
  static Matrix constant(int rows, int columns, double value) {
    return Matrix.filled(F32, ROW_MAJOR, rows, columns, value);
  }
}
