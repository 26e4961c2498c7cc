package dev.gptq.testkit;

import static dev.gptq.tensor.DType.BF16;
import static dev.gptq.tensor.DType.F16;
import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.DType.I32;
import static dev.gptq.tensor.DType.U8;
import static dev.gptq.tensor.Layout.COLUMN_MAJOR;
import static dev.gptq.tensor.Layout.ROW_MAJOR;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.backend.LinearAlgebra;
import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import java.util.Arrays;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** What {@link LinearAlgebra} promises. */
public abstract class LinearAlgebraConformance extends Conformance {
  private static final DType[] REAL = {F32, F16, BF16};

  /** For subclasses. */
  protected LinearAlgebraConformance() {}

  @Test
  void gemmOfEveryShape() {
    int[][] shapes = {
      {1, 1, 1},
      {1, 2, 3},
      {2, 1, 5},
      {3, 7, 1},
      {7, 8, 9},
      {15, 16, 17},
      {31, 33, 32},
      {1, 129, 128},
      {127, 128, 129},
      {13, 300, 97},
      {300, 17, 211},
      {129, 517, 65},
      {410, 1450, 37},
      {14, 40, 4111}
    };
    for (int[] s : shapes) {
      gemm(F32, F32, s, ROW_MAJOR, ROW_MAJOR, ROW_MAJOR, 1, 0);
      gemm(F32, F32, s, COLUMN_MAJOR, ROW_MAJOR, COLUMN_MAJOR, -1, 1);
    }
  }

  @Test
  void gemmOfEveryLayout() {
    int[] shape = {17, 33, 31};
    for (Layout a : Layout.values()) {
      for (Layout b : Layout.values()) {
        for (Layout c : Layout.values()) {
          gemm(F32, F32, shape, a, b, c, 1, 0);
          gemm(F32, F32, shape, a, b, c, -0.75f, 1.5f);
        }
      }
    }
  }

  @Test
  void gemmOfEveryType() {
    for (DType type : new DType[] {F16, BF16}) {
      for (Layout layout : Layout.values()) {
        for (int[] shape : new int[][] {{3, 5, 7}, {33, 64, 65}}) {
          gemm(type, F32, shape, layout, COLUMN_MAJOR, ROW_MAJOR, 1, 0);
          gemm(type, F32, shape, ROW_MAJOR, layout, COLUMN_MAJOR, 2, 1);
          gemm(type, type, shape, layout, ROW_MAJOR, ROW_MAJOR, 1, 0);
          gemm(type, type, shape, ROW_MAJOR, layout, layout, -1, 0.5f);
        }
      }
    }
  }

  private void gemm(
      DType type,
      DType output,
      int[] shape,
      Layout layoutA,
      Layout layoutB,
      Layout layoutC,
      float alpha,
      float beta) {
    int m = shape[0];
    int k = shape[1];
    int n = shape[2];
    Matrix a = inputs().normal(type, layoutA, m, k);
    Matrix b = inputs().normal(type, layoutB, k, n);
    Matrix c = inputs().normal(output, layoutC, m, n);
    Operation.Call call =
        (backend, t, scope) ->
            backend.linalg().gemm(alpha, t.get("a"), t.get("b"), beta, t.get("c"));
    Operation operation =
        operation(
            String.format(
                Locale.ROOT,
                "gemm %d x %d x %d, %s*%s to %s, %s %s %s, alpha %s, beta %s",
                m,
                k,
                n,
                type,
                type,
                output,
                layoutA,
                layoutB,
                layoutC,
                alpha,
                beta));
    operation.in("a", a).in("b", b);
    Matrix magnitude = Definitions.productMagnitude(alpha, a, b, beta, c);
    if (beta == 0) {
      operation.out("c", output, layoutC, m, n);
    } else {
      operation.inOut("c", c);
    }
    operation.isWithin(Tolerance.dot(k), magnitude, call);
  }

  @Test
  void gemmBatchOfEveryLayout() {
    for (DType type : new DType[] {F32, BF16}) {
      for (Layout a : Layout.values()) {
        for (Layout b : Layout.values()) {
          gemmBatch(type, F32, 3, a, b, ROW_MAJOR, 0);
          gemmBatch(type, type, 1, a, b, COLUMN_MAJOR, 0.5f);
        }
      }
    }
  }

  private void gemmBatch(
      DType type, DType output, int count, Layout a, Layout b, Layout c, float beta) {
    int m = 5;
    int k = 7;
    int n = 4;
    Operation operation =
        operation("gemmBatch " + count + " " + type + " to " + output + " " + a + " " + b + " " + c)
            .in("a", parts(type, a, count, m, k))
            .in("b", parts(type, b, count, k, n));
    if (beta == 0) {
      boolean below = c == ROW_MAJOR;
      operation.out("c", output, c, below ? count * m : m, below ? n : count * n);
    } else {
      operation.inOut("c", parts(output, c, count, m, n));
    }
    operation.isWithin(
        Tolerance.dot(k),
        16,
        (backend, t, scope) ->
            backend.linalg().gemmBatch(count, 0.75f, t.get("a"), t.get("b"), beta, t.get("c")));
  }

  private Matrix parts(DType type, Layout layout, int count, int rows, int columns) {
    boolean below = layout == ROW_MAJOR;
    return inputs()
        .normal(type, layout, below ? count * rows : rows, below ? columns : count * columns);
  }

  @Test
  void gemmOfSubnormalAndHugeNumbers() {
    Matrix a = Matrix.of(2, 3, 1e-39, 0x1p-149, -0.0, 1e18, -1e18, 1);
    Matrix b = Matrix.of(3, 2, 1, 1e20, 0x1p-149, 1, 2, -1);
    operation("gemm of extremes")
        .in("a", a)
        .in("b", b)
        .out("c", F32, ROW_MAJOR, 2, 2)
        .isWithin(
            Tolerance.dot(3),
            Definitions.productMagnitude(1, a, b, 0, Matrix.of(2, 2, 0, 0, 0, 0)),
            (backend, t, scope) -> backend.linalg().gemm(1, t.get("a"), t.get("b"), 0, t.get("c")));
  }

  @Test
  void gramOfTokens() {
    int[][] shapes = {
      {1, 1},
      {1, 9},
      {2, 7},
      {7, 8},
      {16, 15},
      {33, 17},
      {64, 31},
      {5, 127},
      {129, 128},
      {300, 97},
      {31, 401}
    };
    for (DType type : REAL) {
      for (int[] s : shapes) {
        gram(type, s[0], s[1]);
      }
    }
  }

  private void gram(DType type, int tokens, int n) {
    Matrix x = inputs().normal(type, ROW_MAJOR, tokens, n);
    // A dead channel, whose row and column of H stay as they were.
    for (int t = 0; t < tokens; t++) {
      x.values()[t * n + n / 2] = 0;
    }
    Matrix h = inputs().gram(n, 0.1);
    Matrix xt = x.transposed();
    operation("accumulateGram " + tokens + " x " + n + " " + type)
        .in("x", x)
        .inOut("h", h)
        .where((row, column) -> row >= column)
        .isWithin(
            Tolerance.dot(tokens),
            Definitions.productMagnitude(0.125f, xt, x, 1, h),
            (backend, t, scope) -> backend.linalg().accumulateGram(0.125f, t.get("x"), t.get("h")));
  }

  @Test
  void symmetrizeCopiesTheLowerTriangle() {
    for (int n : Shapes.VECTOR) {
      for (Layout layout : Layout.values()) {
        operation("symmetrize " + n + " " + layout)
            .inOutAnyShape("h", inputs().normal(F32, layout, n, n))
            .isExact((backend, t, scope) -> backend.linalg().symmetrize(t.get("h")));
      }
    }
  }

  @Test
  void diagonal() {
    for (int n : Shapes.VECTOR) {
      operation("diagonal " + n)
          .in("h", inputs().normal(n, n))
          .out("d", F32, ROW_MAJOR, 1, n)
          .isExact((backend, t, scope) -> backend.linalg().diagonal(t.get("h"), t.get("d")));
    }
  }

  @Test
  void addToDiagonal() {
    for (int n : Shapes.VECTOR) {
      operation("addToDiagonal " + n)
          .in("d", inputs().normal(1, n))
          .inOut("h", inputs().normal(n, n))
          .isExact((backend, t, scope) -> backend.linalg().addToDiagonal(t.get("d"), t.get("h")));
    }
  }

  @Test
  void gatherColumns() {
    for (int[] s : Shapes.MATRIX) {
      for (Layout from : Layout.values()) {
        for (Layout to : Layout.values()) {
          int chosen = s[1] + 2;
          Matrix floats = inputs().normal(F32, from, s[0], s[1]);
          Matrix bytes = inputs().codes(from, s[0], s[1], 8);
          Matrix ints = new Matrix(I32, from, s[0], s[1], bytes.values());
          for (Matrix src : new Matrix[] {floats, ints, bytes}) {
            operation("gatherColumns of " + src + " to " + to)
                .in("src", src)
                .in("index", inputs().indices(chosen, s[1]))
                .out("dst", src.type(), to, s[0], chosen)
                .isExact((backend, t, scope) ->
                    backend.linalg().gatherColumns(t.get("src"), t.get("index"), t.get("dst")));
          }
        }
      }
    }
  }

  @Test
  void gatherSymmetric() {
    for (int n : Shapes.VECTOR) {
      operation("gatherSymmetric " + n)
          .in("h", inputs().gram(n, 0))
          .in("index", inputs().permutation(n))
          .out("dst", F32, ROW_MAJOR, n, n)
          .isExact((backend, t, scope) ->
              backend.linalg().gatherSymmetric(t.get("h"), t.get("index"), t.get("dst")));
    }
  }

  @Test
  void zeroColumns() {
    for (int[] s : Shapes.MATRIX) {
      for (Layout layout : Layout.values()) {
        operation("zeroColumns " + s[0] + " x " + s[1] + " " + layout)
            .in("index", inputs().distinct((s[1] + 2) / 3, s[1]))
            .inOutAnyShape("w", inputs().normal(F32, layout, s[0], s[1]))
            .isExact(
                (backend, t, scope) -> backend.linalg().zeroColumns(t.get("index"), t.get("w")));
      }
    }
  }

  private static final int[] FACTORED = {
    1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 127, 128, 129, 211
  };

  /** The strict upper triangle is NaN, which must not be read. */
  @Test
  void choleskyAgreesWithTheReference() {
    for (int n : FACTORED) {
      Matrix h = Definitions.lowerWithNan(inputs().gram(n, 0.05));
      Operation operation = operation("cholesky " + n);
      operation.inOut("h", h).where((row, column) -> row >= column);
      Operation.Call call = (backend, t, scope) -> backend.linalg().cholesky(t.get("h"));
      Matrix expected = operation.expect(call).get("h");
      double growth = Definitions.factorGrowth(expected);
      Matrix magnitude =
          Matrix.filled(F32, ROW_MAJOR, n, n, growth * Definitions.largest(lower(expected)));
      operation.isWithin(Tolerance.factorisation(n), magnitude, call);
    }
  }

  /** The lower triangle, zeros above. */
  private static Matrix lower(Matrix m) {
    Matrix lower = Matrix.of(m.rows(), m.columns(), m.values());
    for (int i = 0; i < m.rows(); i++) {
      Arrays.fill(lower.values(), i * m.columns() + i + 1, (i + 1) * m.columns(), 0);
    }
    return lower;
  }

  @Test
  void choleskyOfADiagonalMatrix() {
    operation("cholesky of a diagonal matrix")
        .inOut("h", Matrix.of(3, 3, 4, 7, 8, 0, 0.25, 9, 0, 0, 16))
        .where((row, column) -> row >= column)
        .isExact((backend, t, scope) -> backend.linalg().cholesky(t.get("h")));
  }

  @Test
  void choleskyRejectsAnIndefiniteMatrix() {
    for (int n : new int[] {1, 2, 16, 33, 129, 300}) {
      for (int bad : new int[] {0, n / 2, n - 1}) {
        for (double pivot : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
          Matrix h = inputs().gram(n, 0.1);
          for (int j = 0; j < n; j++) {
            h.values()[bad * n + j] = 0;
            h.values()[j * n + bad] = 0;
          }
          h.values()[bad * n + bad] = pivot;
          Operation operation = operation("cholesky with pivot " + pivot);
          operation.inOut("h", h);
          assertThatThrownBy(() ->
                  operation.runUnderTest(
                      (backend, t, scope) -> backend.linalg().cholesky(t.get("h"))))
              .as("n = %s, pivot %s = %s", n, bad, pivot)
              .isInstanceOf(NotPositiveDefiniteException.class)
              .hasMessageContaining("pivot " + (n - bad) + " ");
        }
      }
    }
  }

  @Test
  void invertDiagonalBlocksOfEveryWidth() {
    for (int n : FACTORED) {
      for (int width : new int[] {1, 5, 64, 128, n}) {
        for (Layout layout : Layout.values()) {
          if (width <= n) {
            invertDiagonalBlocks(n, width, layout);
          }
        }
      }
    }
    invertDiagonalBlocks(300, 256, COLUMN_MAJOR);
    invertDiagonalBlocks(530, 200, COLUMN_MAJOR);
    invertDiagonalBlocks(530, 530, COLUMN_MAJOR);
  }

  /** Below its diagonal V is NaN, which must not be read. */
  private void invertDiagonalBlocks(int n, int width, Layout layout) {
    Matrix v = QuantizationConformance.triangle(inputs(), n).as(layout);
    Operation operation = operation("invertDiagonalBlocks of " + n + " by " + width + " " + layout);
    operation
        .in("v", v)
        .out("u", F32, ROW_MAJOR, n, width)
        .where((row, column) -> column < n - row / width * width);
    Operation.Call call =
        (backend, t, scope) -> backend.linalg().invertDiagonalBlocks(t.get("v"), t.get("u"));
    Matrix expected = operation.expect(call).get("u");
    Matrix magnitude =
        Matrix.filled(
            F32,
            ROW_MAJOR,
            n,
            width,
            Definitions.inverseGrowth(v, expected) * Definitions.largest(expected));
    // Below the diagonal the zeros are exact.
    for (int i = 0; i < n; i++) {
      Arrays.fill(magnitude.values(), i * width, i * width + i % width, 0);
    }
    operation.isWithin(Tolerance.factorisation(width), magnitude, call);
  }

  @Test
  void sumOfSquares() {
    for (int[] s : Shapes.MATRIX) {
      for (Layout layout : Layout.values()) {
        operation("addSumOfSquares " + s[0] + " x " + s[1] + " " + layout)
            .inAnyShape("x", inputs().normal(F32, layout, s[0], s[1]))
            .inOut("total", Matrix.scalar(0.5))
            .isWithin(
                Tolerance.dot(s[1]),
                (backend, t, scope) ->
                    backend.linalg().addSumOfSquares(t.get("x"), t.get("total")));
      }
    }
  }

  @Test
  void traceQuadratic() {
    for (int[] s : Shapes.MATRIX) {
      for (Layout layout : Layout.values()) {
        Matrix a = inputs().normal(F32, layout, s[0], s[1]);
        Matrix h = inputs().gram(s[1], 0.1);
        operation("addTraceQuadratic " + s[0] + " x " + s[1] + " " + layout)
            .in("a", a)
            .in("h", h)
            .inOut("total", Matrix.scalar(-2))
            .isWithin(
                Tolerance.dot(2 * s[1]),
                Matrix.scalar(2 + Definitions.traceQuadratic(a.abs(), h.abs())),
                (backend, t, scope) ->
                    backend.linalg().addTraceQuadratic(t.get("a"), t.get("h"), t.get("total")));
      }
    }
  }

  @Test
  void nonFiniteCount() {
    double[] bad = {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY};
    for (DType type : REAL) {
      for (int[] s : Shapes.MATRIX) {
        Matrix x = inputs().normal(type, ROW_MAJOR, s[0], s[1]);
        for (int i = 0; i < x.values().length; i += 1 + inputs().integer(9)) {
          x.values()[i] = bad[i % bad.length];
        }
        x.values()[0] = type == F32 ? Float.MAX_VALUE : 65504;
        operation("addNonFiniteCount " + s[0] + " x " + s[1] + " " + type)
            .inAnyShape("x", x)
            .inOut("total", Matrix.scalar(3))
            .isExact((backend, t, scope) ->
                backend.linalg().addNonFiniteCount(t.get("x"), t.get("total")));
      }
    }
  }

  @Test
  void axpy() {
    for (DType type : REAL) {
      for (int[] s : Shapes.MATRIX) {
        for (Layout layout : Layout.values()) {
          Matrix x = inputs().normal(type, layout, s[0], s[1]);
          Matrix y = inputs().normal(type, ROW_MAJOR, s[0], s[1]);
          operation("axpy " + s[0] + " x " + s[1] + " " + type + " " + layout)
              .in("x", x)
              .inOut("y", y)
              .isWithin(
                  Tolerance.rounding(),
                  Definitions.sumMagnitude(-0.7, x, y),
                  (backend, t, scope) -> backend.linalg().axpy(-0.7f, t.get("x"), t.get("y")));
        }
      }
    }
  }

  @Test
  void convertBetweenAllTypesAndLayouts() {
    for (DType from : REAL) {
      for (DType to : REAL) {
        for (Layout layoutFrom : Layout.values()) {
          for (Layout layoutTo : Layout.values()) {
            for (int[] s : new int[][] {{1, 1}, {3, 5}, {17, 31}, {65, 129}, {70, 136}}) {
              convert(inputs().normal(from, layoutFrom, s[0], s[1]), to, layoutTo);
            }
          }
        }
      }
    }
  }

  @Test
  void convertRoundsToNearestEven() {
    double[] values = {
      0.0,
      -0.0,
      1,
      -1,
      1 + 0x1p-8,
      1 + 0x1p-8 + 0x1p-20,
      1 + 3 * 0x1p-8,
      1 + 0x1p-11,
      1 + 3 * 0x1p-11,
      1 + 0x1p-11 + 0x1p-20,
      65504,
      65519.996,
      65520,
      -65520,
      1e10,
      3.4e38,
      Float.MAX_VALUE,
      0x1p-14,
      0x1p-24,
      0x1p-25,
      0x1.8p-25,
      0x1.8p-24,
      -0x1p-25,
      0x1p-26,
      0x1p-126,
      0x1p-133,
      0x1p-134,
      0x1.8p-134,
      0x1p-149,
      1023.75 * 0x1p-24,
      Double.NaN,
      Double.POSITIVE_INFINITY,
      Double.NEGATIVE_INFINITY,
      2049,
      2051,
      257,
      259,
      0x1.fffp-15
    };
    for (DType from : REAL) {
      for (DType to : REAL) {
        convert(new Matrix(from, ROW_MAJOR, 2, values.length / 2, values), to, COLUMN_MAJOR);
        convert(new Matrix(from, ROW_MAJOR, 1, values.length, values), to, ROW_MAJOR);
      }
    }
  }

  private void convert(Matrix src, DType to, Layout layout) {
    operation("convert " + src + " to " + to + " " + layout)
        .in("src", src)
        .out("dst", to, layout, src.rows(), src.columns())
        .isExact((backend, t, scope) -> backend.linalg().convert(t.get("src"), t.get("dst")));
  }

  @Test
  void gatherOfBytesKeepsEveryCode() {
    double[] all = new double[256];
    Arrays.setAll(all, i -> i);
    operation("gatherColumns of all codes")
        .in("src", new Matrix(U8, COLUMN_MAJOR, 1, 256, all).as(ROW_MAJOR))
        .in("index", inputs().permutation(256))
        .out("dst", U8, ROW_MAJOR, 1, 256)
        .isExact((backend, t, scope) ->
            backend.linalg().gatherColumns(t.get("src"), t.get("index"), t.get("dst")));
  }
}
