package dev.gptq.simd;

import dev.gptq.simd.Gemm.Part;
import dev.gptq.simd.Matrix.Triangle;
import java.lang.foreign.MemorySegment;

/**
 * The lower triangular L with {@code LᵀL = H}, in place of H's lower triangle, from the lower right
 * corner:
 *
 * <pre>
 *   [H11    ] = [L11ᵀ L21ᵀ]·[L11    ]     L22 = factor of H22      L21 = L22⁻ᵀ·H21
 *   [H21 H22]   [     L22ᵀ] [L21 L22]     L11 = factor of H11 − L21ᵀ·L21
 * </pre>
 *
 * All of it is matrix products, n³/3 operations. The triangular solve goes by halves too; where it
 * has come down to a base block it multiplies with that block's inverse, which {@link FactorBlock}
 * made in float64.
 */
final class Cholesky {
  private static final int BASE = 64;

  private final Gemm gemm;
  private final Matrix h;
  private final int n;
  private final Matrix inverses;
  private final Matrix row;
  private final FactorBlock base = new FactorBlock(BASE);

  private Cholesky(Execution execution, Matrix h) {
    this.gemm = execution.gemm();
    this.h = h;
    this.n = h.rows();
    MemorySegment scratch =
        execution.workspace().get(Workspace.Use.FACTOR, 1, 2L * Float.BYTES * n * BASE)[0];
    this.inverses = Matrix.rowMajor(scratch, n, BASE);
    this.row = Matrix.rowMajor(scratch.asSlice((long) Float.BYTES * n * BASE), BASE, n);
  }

  /** Factors h, whose rows are contiguous. */
  static void run(Execution execution, Matrix h) {
    new Cholesky(execution, h).factor(0, h.rows());
  }

  private void factor(int from, int to) {
    if (to - from <= BASE) {
      base.factor(h.block(from, to, from, to), inverse(from, to), n - to);
      return;
    }
    int middle = middle(from, to);
    factor(middle, to);
    Matrix l21 = h.block(middle, to, from, middle);
    solve(l21, middle, to);
    gemm.multiply(-1, l21.transposed(), l21, 1, h.block(from, middle, from, middle), Part.LOWER);
    factor(from, middle);
  }

  /** Halves that are whole base blocks keep the panels of the products full. */
  private static int middle(int from, int to) {
    return from + ((to - from) / 2 + BASE - 1) / BASE * BASE;
  }

  /** {@code X ← L⁻ᵀ·X} with the factor of columns from … to − 1, the last rows of X first. */
  private void solve(Matrix x, int from, int to) {
    int columns = x.columns();
    if (to - from <= BASE) {
      Matrix product = row.block(0, to - from, 0, columns);
      gemm.multiply(1, inverse(from, to).withTriangle(Triangle.UPPER), x, 0, product);
      for (int i = 0; i < to - from; i++) {
        long bytes = (long) Float.BYTES * columns;
        MemorySegment.copy(product.segment(), product.at(i, 0), x.segment(), x.at(i, 0), bytes);
      }
      return;
    }
    int middle = middle(from, to);
    Matrix upper = x.block(0, middle - from, 0, columns);
    Matrix lower = x.block(middle - from, to - from, 0, columns);
    solve(lower, middle, to);
    gemm.multiply(-1, h.block(middle, to, from, middle).transposed(), lower, 1, upper);
    solve(upper, from, middle);
  }

  /** {@code L⁻ᵀ} of a base block. */
  private Matrix inverse(int from, int to) {
    return inverses.block(from, to, 0, to - from);
  }
}
