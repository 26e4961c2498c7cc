package dev.gptq.backend;

import dev.gptq.grid.Grid;
import dev.gptq.tensor.Tensor;

/**
 * Descent of a quantized matrix along the sign of its gradient, straight through the rounding of
 * codes and scales. A weight of row r and column c has a code u that stays, and an offset v; a
 * group has a scale s that stays, and a factor f. The matrix is that of the codes and scales
 *
 * <pre>
 *   k = clamp(rint(u + v), minCode, maxCode)
 *   s' = R(f·s)                              R = {@link dev.gptq.grid.GridSpec#roundScale}
 * </pre>
 *
 * <p>All operations are exact: float32, rounding half to even, one fused multiply-add where the
 * formula says {@code fma} and none elsewhere. Matrices have contiguous columns: codes are U8, m ×
 * n, offsets F32, m × n, factors F32, m × groups.
 */
public interface TuningOps {
  /** The largest magnitude of an offset. */
  float MOST_OFFSET = 1.5f;

  /** The largest magnitude of a first offset: under ½, so that the first codes are k = u. */
  float MOST_BEGINNING = 0.49f;

  /** The least factor. */
  float LEAST_FACTOR = 0.5f;

  /** The largest factor. */
  float MOST_FACTOR = 1.5f;

  /**
   * Half of where weights stand in the cells of their codes: {@code v = clamp(((w / s + z) − u) /
   * 2, −0.49, 0.49)}.
   *
   * @param w F32, m × n
   */
  void beginOffsets(Tensor w, Tensor codes, Grid grid, Tensor offsets);

  /**
   * One step. With D the gradient, for the columns of a group in their order,
   *
   * <pre>
   *   F = 0;  F = fma(D, k − z, F)
   *   v' = clamp(v − step·sign(D·s), max(−1.5, minCode − ½ − u), min(1.5, maxCode + ½ − u))
   * </pre>
   *
   * so that no offset leaves the cells of the grid, and {@code f' = clamp(f − scaleStep·sign(F·s),
   * 0.5, 1.5)}.
   *
   * @param gradient D, F32, m × n: of a loss with respect to the matrix
   * @param grid of the codes u, with the scales s
   * @param offsets v, in and out
   * @param factors f, in and out
   */
  void descend(
      Tensor gradient,
      Tensor codes,
      Grid grid,
      float step,
      float scaleStep,
      Tensor offsets,
      Tensor factors);

  /**
   * The codes k and scales s' that offsets and factors have come to.
   *
   * @param tunedCodes out, U8, m × n
   * @param tunedScale out, F32, m × groups
   */
  void tuned(
      Tensor codes,
      Grid grid,
      Tensor offsets,
      Tensor factors,
      Tensor tunedCodes,
      Tensor tunedScale);
}
