package dev.gptq.backend;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;

/**
 * The operations that GPTQ needs beyond linear algebra. All are exact: float32, IEEE division,
 * rounding half to even, one fused multiply-add where the formula says {@code fma} and none
 * elsewhere, so that every backend gives the same bits. Matrices have contiguous columns, inputs
 * are finite.
 */
public interface QuantizationOps {

  /**
   * Fits one grid to each row of w, by the formulas of {@link dev.gptq.grid.Scheme}. In float32,
   * with {@code R} = {@link GridSpec#roundScale}:
   *
   * <pre>
   *   lo = min(0, w…), hi = max(0, w…)
   *   symmetric schemes: hi = max(−lo, hi), lo = −hi
   *   if lo = hi = 0: lo = −1, hi = 1
   *   s = R((hi − lo) / levels)
   *   z = fixed zero of the scheme, or clamp(rint(−lo / s), 0, maxCode)
   * </pre>
   *
   * The MSE search tries {@code p = (float) (1 − i/100.0)}, i = 0 … 79: {@code lo_p = p·lo}, {@code
   * hi_p = p·hi}, s and z from these as above, error = Σ {@link dev.gptq.grid.ErrorNorm#of}(q(w) −
   * w), added in order of the columns in float32; the first candidate with the least error is kept.
   *
   * @param w m × n
   * @param scale out, m × 1, contiguous columns
   * @param zero out, m × 1, contiguous columns
   */
  void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero);

  /**
   * The inner loop of GPTQ (algorithm 1 of the paper) on one block of B columns. For j = 0 … B−1,
   * with u and q of w[:, j] as defined at {@link Grid}:
   *
   * <pre>
   *   codes[:, j] = u
   *   e = (w[:, j] − q) / U[j][j]
   *   w[:, k] = fma(−e, U[j][k], w[:, k])   for k = j+1 … B−1
   *   w[:, j] = e
   * </pre>
   *
   * @param w in: the current weights, m × B; out: the scaled errors e
   * @param u B × B, rows contiguous, the upper triangle is read
   * @param grid grids of these B columns
   * @param codes out, U8, m × B
   */
  void quantizeBlock(Tensor w, Tensor u, Grid grid, Tensor codes);

  /** Rounds every weight to its nearest code: {@code codes = u(w)} as defined at {@link Grid}. */
  void quantizeNearest(Tensor w, Grid grid, Tensor codes);

  /** {@code w = s·(u − z)} as defined at {@link Grid}; w has any layout. */
  void dequantize(Tensor codes, Grid grid, Tensor w);
}
