package dev.gptq.simd;

import dev.gptq.simd.Gemm.Part;
import dev.gptq.simd.Matrix.Triangle;
import java.lang.foreign.MemorySegment;

/**
 * The upper triangular U with {@code UᵀU = H⁻¹}. With {@code H = R·Rᵀ}, R upper triangular, it is
 * {@code U = R⁻¹}; R and its inverse are built together, from the lower right corner:
 *
 * <pre>
 *   H = [H11 H12]   U22 = inverse factor of H22        R12 = H12·U22ᵀ
 *       [H21 H22]   U11 = inverse factor of H11 − R12·R12ᵀ
 *                   U12 = −U11·R12·U22
 * </pre>
 *
 * All of it is matrix products with one triangular operand or result, ⅔·n³ operations; no step
 * reverses a matrix. Scratch is a copy of H's lower triangle, and the lower half of U until it is
 * cleared.
 */
final class InverseCholesky {
  private static final int BASE = 64;

  private final Gemm gemm;
  private final Matrix work;
  private final Matrix u;
  private final int n;
  private final FactorBlock base = new FactorBlock(BASE);

  private InverseCholesky(Gemm gemm, Matrix work, Matrix u) {
    this.gemm = gemm;
    this.work = work;
    this.u = u;
    this.n = u.rows();
  }

  /** Reads the lower triangle of h; sets all of u. */
  static void run(Execution execution, Matrix h, Matrix u) {
    int n = h.rows();
    MemorySegment copy = execution.workspace().get(Workspace.Use.FACTOR, 1, 4L * n * n)[0];
    Matrix work = Matrix.rowMajor(copy, n, n);
    execution.forRanges(
        n,
        64,
        (from, to) -> {
          for (int i = from; i < to; i++) {
            MemorySegment.copy(h.segment(), h.at(i, 0), copy, work.at(i, 0), 4L * (i + 1));
          }
        });
    new InverseCholesky(execution.gemm(), work, u).factor(0, n);
    execution.forRanges(
        n,
        64,
        (from, to) -> {
          for (int i = from; i < to; i++) {
            u.segment().asSlice(u.at(i, 0), 4L * i).fill((byte) 0);
          }
        });
  }

  private void factor(int from, int to) {
    if (to - from <= BASE) {
      base.factor(work, u, from, to, n);
      return;
    }
    // Halves that are whole base blocks keep the panels of the products full.
    int half = ((to - from) / 2 + BASE - 1) / BASE * BASE;
    int middle = from + half;
    factor(middle, to);
    Matrix u22 = u.block(middle, to, middle, to).withTriangle(Triangle.UPPER);
    Matrix w21 = work.block(middle, to, from, middle);
    Matrix r12t = u.block(middle, to, from, middle);
    gemm.multiply(1, u22, w21, 0, r12t);
    Matrix w11 = work.block(from, middle, from, middle);
    gemm.multiply(-1, r12t.transposed(), r12t, 1, w11, Part.LOWER);
    factor(from, middle);
    gemm.multiply(1, u22.transposed(), r12t, 0, w21);
    Matrix u11 = u.block(from, middle, from, middle).withTriangle(Triangle.UPPER);
    gemm.multiply(-1, u11, w21.transposed(), 0, u.block(from, middle, middle, to));
  }
}
