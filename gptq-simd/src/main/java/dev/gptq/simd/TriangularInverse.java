package dev.gptq.simd;

import dev.gptq.simd.Matrix.Triangle;
import java.lang.foreign.MemorySegment;

/**
 * Inverses of upper triangular blocks, by halves:
 *
 * <pre>
 *   [V11 V12]⁻¹   [U11  −U11·V12·U22]
 *   [    V22]   = [              U22]
 * </pre>
 */
final class TriangularInverse {
  private static final int BASE = 64;

  private final Gemm gemm;
  private final MemorySegment scratch;
  private final FactorBlock base = new FactorBlock(BASE);

  private TriangularInverse(Execution execution, int width) {
    int half = (width + 1) / 2 + BASE;
    this.gemm = execution.gemm();
    this.scratch =
        execution.workspace().get(Workspace.Use.FACTOR, 1, (long) Float.BYTES * half * half)[0];
  }

  /** Inverts the diagonal blocks of v of as many columns as u has. */
  static void run(Execution execution, Matrix v, Matrix u) {
    int n = v.rows();
    int width = u.columns();
    TriangularInverse inverse = new TriangularInverse(execution, width);
    for (int from = 0; from < n; from += width) {
      int to = Math.min(n, from + width);
      inverse.invert(v.block(from, to, from, to), u.block(from, to, 0, to - from));
    }
  }

  private void invert(Matrix v, Matrix u) {
    int n = v.rows();
    for (int i = 0; i < n; i++) {
      u.segment().asSlice(u.at(i, 0), (long) Float.BYTES * i).fill((byte) 0);
    }
    halves(v, u);
  }

  private void halves(Matrix v, Matrix u) {
    int n = v.rows();
    if (n <= BASE) {
      base.invert(v, u);
      return;
    }
    int middle = (n / 2 + BASE - 1) / BASE * BASE;
    Matrix u11 = u.block(0, middle, 0, middle);
    Matrix u22 = u.block(middle, n, middle, n);
    halves(v.block(0, middle, 0, middle), u11);
    halves(v.block(middle, n, middle, n), u22);
    Matrix product = Matrix.rowMajor(scratch, middle, n - middle);
    Matrix v12 = v.block(0, middle, middle, n);
    gemm.multiply(1, v12, u22.withTriangle(Triangle.UPPER), 0, product);
    gemm.multiply(-1, u11.withTriangle(Triangle.UPPER), product, 0, u.block(0, middle, middle, n));
  }
}
