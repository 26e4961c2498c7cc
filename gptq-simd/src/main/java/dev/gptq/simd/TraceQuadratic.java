package dev.gptq.simd;

import dev.gptq.simd.Matrix.Triangle;
import java.lang.foreign.MemorySegment;

/**
 * {@code tr(A·H·Aᵀ)} for a symmetric n × n H and an m × n A. With L the lower triangle of H and D
 * its diagonal, {@code A·H·Aᵀ = A·L·Aᵀ + (A·L·Aᵀ)ᵀ − A·D·Aᵀ}, so half of the products suffice:
 *
 * <pre>
 *   tr = 2·Σ (Lᵀ·Aᵀ)∘Aᵀ − Σ_j H[j][j]·Σ_r A[r][j]²
 * </pre>
 */
final class TraceQuadratic {
  // Rows of A at a time: enough for full speed, few enough that the product stays in the cache.
  private static final int ROWS = 1024;

  private TraceQuadratic() {}

  static double of(Execution execution, Matrix a, Matrix h) {
    int n = a.columns();
    Matrix lower = (h.rowsContiguous() ? h : h.transposed()).withTriangle(Triangle.LOWER);
    double total = 0;
    for (int r = 0; r < a.rows(); r += ROWS) {
      Matrix rows = a.block(r, Math.min(a.rows(), r + ROWS), 0, n);
      MemorySegment buffer =
          execution.workspace().get(Workspace.Use.RESULT, 1, 4L * rows.rows() * n)[0];
      // The product in A's own layout, so that both are summed along contiguous runs.
      Matrix product =
          a.rowsContiguous()
              ? Matrix.rowMajor(buffer, rows.rows(), n)
              : Matrix.rowMajor(buffer, n, rows.rows()).transposed();
      execution.gemm().multiply(1, rows, lower, 0, product);
      total += execution.sumRanges(n, 16, (from, to) -> sum(rows, lower, product, from, to));
    }
    return total;
  }

  private static double sum(Matrix a, Matrix h, Matrix product, int from, int to) {
    double total = 0;
    if (!a.rowsContiguous()) {
      for (int j = from; j < to; j++) {
        double hjj = h.segment().get(Lanes.FLOAT, h.at(j, j));
        total += 2 * Reductions.dot(a.transposed(), j, product.transposed(), j);
        total -= hjj * Reductions.dot(a.transposed(), j, a.transposed(), j);
      }
      return total;
    }
    for (int r = 0; r < a.rows(); r++) {
      for (int j = from; j < to; j++) {
        double value = a.segment().get(Lanes.FLOAT, a.at(r, j));
        double hjj = h.segment().get(Lanes.FLOAT, h.at(j, j));
        double p = product.segment().get(Lanes.FLOAT, product.at(r, j));
        total += value * (2 * p - hjj * value);
      }
    }
    return total;
  }
}
