package dev.gptq.backend;

import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;

/**
 * Dense linear algebra. Letters: rows × columns; F32 unless a type is named; every argument may be
 * a view. Outputs never overlap inputs unless said. Accumulation is in float32 or better, never in
 * a shortened format such as TF32.
 */
public interface LinearAlgebra {

  /**
   * {@code C ← α·A·B + β·C}; A is m × k, B is k × n, C is m × n, each in any layout. A and B have
   * the same real type, C is F32 or of that type. With β = 0, C may hold anything, NaN included.
   */
  void gemm(float alpha, Tensor a, Tensor b, float beta, Tensor c);

  /**
   * {@code C_i ← α·A_i·B_i + β·C_i} for i = 0 … count − 1: {@link #gemm} of the parts of three
   * matrices, each of which is count parts of equal size, one behind the other: below each other
   * where rows are contiguous, beside each other where columns are.
   */
  default void gemmBatch(int count, float alpha, Tensor a, Tensor b, float beta, Tensor c) {
    for (int i = 0; i < count; i++) {
      gemm(alpha, part(a, i, count), part(b, i, count), beta, part(c, i, count));
    }
  }

  private static Tensor part(Tensor whole, int i, int count) {
    if (whole.layout() == Layout.ROW_MAJOR) {
      int rows = whole.rows() / count;
      return whole.rows(i * rows, (i + 1) * rows);
    }
    int columns = whole.columns() / count;
    return whole.columns(i * columns, (i + 1) * columns);
  }

  /**
   * {@code H ← H + weight·XᵀX} in the lower triangle (row ≥ column) of H; what the strict upper
   * triangle holds afterwards is unspecified until {@link #symmetrize}. X is tokens × n of a real
   * type, rows contiguous; H is n × n, rows contiguous.
   */
  void accumulateGram(float weight, Tensor x, Tensor h);

  /** Copies the lower triangle of the n × n matrix H onto the upper one. */
  void symmetrize(Tensor h);

  /** {@code d[0][j] ← H[j][j]}; d is 1 × n. */
  void diagonal(Tensor h, Tensor d);

  /** {@code H[j][j] ← H[j][j] + d[0][j]}; d is 1 × n. */
  void addToDiagonal(Tensor d, Tensor h);

  /**
   * {@code dst[:, j] ← src[:, index[j]]}; index is I32, 1 × columns of dst. Both have the same type
   * (F32, I32 or U8), each its own layout.
   */
  void gatherColumns(Tensor src, Tensor index, Tensor dst);

  /** {@code dst[i][j] ← H[index[i]][index[j]]}; H symmetric, both n × n, index I32, 1 × n. */
  void gatherSymmetric(Tensor h, Tensor index, Tensor dst);

  /** {@code W[:, index[j]] ← 0} for every j; index is I32, 1 × any number of columns. */
  void zeroColumns(Tensor index, Tensor w);

  /**
   * The lower triangular L with {@code LᵀL = H}, in place of the lower triangle of H, which is n ×
   * n with contiguous rows. This is Cholesky's factorisation from the last column to the first:
   * with J the reversal of the order, {@code J·Lᵀ·J} is the usual factor of JHJ. The strict upper
   * triangle is not read; what it holds afterwards is unspecified.
   *
   * @throws NotPositiveDefiniteException if a pivot is not positive or not finite; what H holds
   *     then is unspecified
   */
  void cholesky(Tensor h);

  /**
   * The inverses of the diagonal blocks of an upper triangular matrix: {@code U[J, 0…] ← V[J, J]⁻¹}
   * for the blocks J of b rows of the n × n matrix V, with zeros below their diagonals. The last
   * block has fewer rows if b does not divide n; what U holds right of it is unspecified. Reads the
   * upper triangle of V, which has any layout; U is n × b with contiguous rows. With {@code b = n}
   * this is V⁻¹.
   */
  void invertDiagonalBlocks(Tensor v, Tensor u);

  /** {@code total ← total + Σ x²}; total is F64, 1 × 1. */
  void addSumOfSquares(Tensor x, Tensor total);

  /**
   * {@code total ← total + tr(A·H·Aᵀ)}; A is m × n, H symmetric n × n, total F64, 1 × 1. This is
   * {@code Σ‖A·x‖²} over the inputs x whose Gram matrix H is. Where n is 128 or more, products may
   * keep no more than 16 bits of each factor: this is what is reported, not what is computed with.
   */
  void addTraceQuadratic(Tensor a, Tensor h, Tensor total);

  /** {@code total ← total + } the number of NaN and infinite elements of x; total is F64, 1 × 1. */
  void addNonFiniteCount(Tensor x, Tensor total);

  /**
   * Products of the rows of A and B, run by run: {@code out[i][h] ← Σ A[i][j]·B[i][j]} over {@code
   * j = h·k … (h+1)·k − 1}. A and B are m × (r·k), out is m × r, all F32 with contiguous columns.
   */
  void rowDots(Tensor a, Tensor b, Tensor out);

  /**
   * {@code to[i, :] ← from[i, :]} in each row with {@code challenger[i][0] < incumbent[i][0]}.
   * Challenger and incumbent are m × 1, F32; from and to m × n with contiguous columns, both F32 or
   * both U8. {@code to} may be the incumbent when {@code from} is the challenger.
   */
  void replaceRows(Tensor challenger, Tensor incumbent, Tensor from, Tensor to);

  /** {@code Y ← Y + α·X}; same shape and real type, each its own layout. */
  void axpy(float alpha, Tensor x, Tensor y);

  /** {@code dst ← src} between any real types and layouts, rounding to nearest even. */
  void convert(Tensor src, Tensor dst);
}
