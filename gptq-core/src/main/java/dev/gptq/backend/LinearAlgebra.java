package dev.gptq.backend;

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
   * (F32 or U8), each its own layout.
   */
  void gatherColumns(Tensor src, Tensor index, Tensor dst);

  /** {@code dst[i][j] ← H[index[i]][index[j]]}; H symmetric, both n × n, index I32, 1 × n. */
  void gatherSymmetric(Tensor h, Tensor index, Tensor dst);

  /** {@code W[:, index[j]] ← 0} for every j; index is I32, 1 × any number of columns. */
  void zeroColumns(Tensor index, Tensor w);

  /**
   * The upper triangular U with {@code UᵀU = H⁻¹}, from one factorisation and one triangular
   * inverse: with J the reversal of the order, {@code JHJ = LLᵀ} and {@code U = J·L⁻¹·J}. Reads the
   * lower triangle of the n × n matrix H and leaves H as it is. Zeros below the diagonal of U.
   *
   * @throws NotPositiveDefiniteException if a pivot is not positive or not finite
   */
  void inverseCholeskyUpper(Tensor h, Tensor u);

  /** {@code total ← total + Σ x²}; total is F64, 1 × 1. */
  void addSumOfSquares(Tensor x, Tensor total);

  /**
   * {@code total ← total + tr(A·H·Aᵀ)}; A is m × n, H symmetric n × n, total F64, 1 × 1. This is
   * {@code Σ‖A·x‖²} over the inputs x whose Gram matrix H is.
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
