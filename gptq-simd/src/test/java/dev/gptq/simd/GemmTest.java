package dev.gptq.simd;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.simd.Gemm.Part;
import dev.gptq.simd.Matrix.Triangle;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Products with a triangular operand or result, which the backend's operations only meet inside a
 * factorisation: larger than a slice is deep and than a block of rows, with NaN wherever nothing
 * may be read.
 */
final class GemmTest {
  private static final int LARGE = 1421;
  private static final int SMALL = 29;

  private final Arena arena = Arena.ofShared();
  private final Random random = new Random(7);

  @AfterEach
  void close() {
    arena.close();
  }

  @ParameterizedTest
  @CsvSource({
    "LOWER, false, 0, 1",
    "LOWER, true, 1, 2",
    "UPPER, false, 1, 2",
    "UPPER, true, 0, 1",
    "UPPER, true, 1, 3"
  })
  void triangleOnTheLeft(Triangle triangle, boolean transposed, float beta, int threads) {
    Matrix a = triangular(triangle, transposed);
    Matrix b = normal(LARGE, SMALL);
    check(a, b, beta, Part.ALL, threads);
  }

  @ParameterizedTest
  @CsvSource({
    "LOWER, false, 1, 2",
    "LOWER, true, 0, 1",
    "UPPER, false, 0, 3",
    "UPPER, true, 1, 1",
  })
  void triangleOnTheRight(Triangle triangle, boolean transposed, float beta, int threads) {
    Matrix a = normal(SMALL, LARGE);
    Matrix b = triangular(triangle, transposed);
    check(a, b, beta, Part.ALL, threads);
  }

  @ParameterizedTest
  @CsvSource({"0, 1", "1, 2", "1, 3"})
  void lowerTriangleOfTheResult(float beta, int threads) {
    check(normal(LARGE, SMALL), normal(SMALL, LARGE), beta, Part.LOWER, threads);
  }

  @ParameterizedTest
  @CsvSource({"0, 1", "1, 2"})
  void moreColumnsThanASlice(float beta, int threads) {
    check(normal(SMALL, 3), normal(3, 4103), beta, Part.ALL, threads);
  }

  private void check(Matrix a, Matrix b, float beta, Part part, int threads) {
    Matrix c = normal(a.rows(), b.columns());
    double[][] expected = product(a, b, beta, c);
    if (beta == 0) {
      c.segment().fill((byte) -1);
    }
    try (Execution execution = new Execution(threads)) {
      execution.gemm().multiply(0.5f, a, b, beta, c, part);
    }
    double worst = 0;
    for (int i = 0; i < c.rows(); i++) {
      for (int j = 0; j < (part == Part.LOWER ? i + 1 : c.columns()); j++) {
        // Math.max keeps a NaN.
        worst = Math.max(worst, Math.abs(value(c, i, j) - expected[i][j]));
      }
    }
    assertThat(worst).isLessThan(1e-3);
  }

  private static double[][] product(Matrix a, Matrix b, float beta, Matrix c) {
    double[][] product = new double[c.rows()][c.columns()];
    for (int i = 0; i < c.rows(); i++) {
      for (int k = 0; k < a.columns(); k++) {
        double left = holds(a, i, k) ? 0.5 * value(a, i, k) : 0;
        for (int j = 0; j < c.columns(); j++) {
          product[i][j] += holds(b, k, j) ? left * value(b, k, j) : 0;
        }
      }
      for (int j = 0; j < c.columns(); j++) {
        product[i][j] += beta * value(c, i, j);
      }
    }
    return product;
  }

  private static boolean holds(Matrix m, int row, int column) {
    return switch (m.triangle()) {
      case FULL -> true;
      case LOWER -> column <= row;
      case UPPER -> column >= row;
    };
  }

  private static float value(Matrix m, int row, int column) {
    return m.segment().get(Lanes.FLOAT, m.at(row, column));
  }

  private Matrix normal(int rows, int columns) {
    Matrix m = Matrix.rowMajor(arena.allocate(4L * rows * columns, 64), rows, columns);
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        m.segment().set(Lanes.FLOAT, m.at(i, j), (float) random.nextGaussian());
      }
    }
    return m;
  }

  private Matrix triangular(Triangle triangle, boolean transposed) {
    Matrix m = normal(LARGE, LARGE);
    Matrix view = (transposed ? m.transposed() : m).withTriangle(triangle);
    MemorySegment segment = view.segment();
    for (int i = 0; i < LARGE; i++) {
      for (int j = 0; j < LARGE; j++) {
        if (!holds(view, i, j)) {
          segment.set(Lanes.FLOAT, view.at(i, j), Float.NaN);
        }
      }
    }
    return view;
  }
}
