package dev.gptq.backend;

import dev.gptq.grid.Grid;
import dev.gptq.grid.GridLadder;
import dev.gptq.grid.GridSpec;
import dev.gptq.tensor.Tensor;

/**
 * The operations that GPTQ needs beyond linear algebra. All but {@link #refitSystem} and {@link
 * #refitScales} are exact: float32, IEEE division, rounding half to even, one fused multiply-add
 * where the formula says {@code fma} and none elsewhere, so that every backend gives the same bits.
 * Matrices have contiguous columns, inputs are finite.
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
   *   step = (hi − lo) / levels
   *   if leastZero = 1: step = max(step, hi / (levels − 1))
   *   s = R(step)
   *   z = fixed zero of the scheme, or clamp(rint(−lo / s), leastZero, maxCode)
   * </pre>
   *
   * Only for the searches that need no Hessian. The MSE search tries {@code p = (float) (1 −
   * i/100.0)}, i = 0 … 79: {@code lo_p = p·lo}, {@code hi_p = p·hi}, s and z from these as above,
   * error = Σ {@link dev.gptq.grid.ErrorNorm#of}(q(w) − w), added in order of the columns in
   * float32; the first candidate with the least error is kept.
   *
   * @param w m × n
   * @param scale out, m × 1, contiguous columns
   * @param zero out, m × 1, contiguous columns
   */
  void fitGrid(Tensor w, GridSpec spec, Tensor scale, Tensor zero);

  /**
   * The grids of all groups of w, each a run of as many columns: {@link #fitGrid} of each.
   *
   * @param w m × n
   * @param scale out, m × groups, contiguous columns; the groups divide n
   * @param zero out, m × groups, contiguous columns
   */
  default void fitGroups(Tensor w, GridSpec spec, Tensor scale, Tensor zero) {
    int run = w.columns() / scale.columns();
    for (int g = 0; g < scale.columns(); g++) {
      fitGrid(
          w.columns(g * run, (g + 1) * run), spec, scale.columns(g, g + 1), zero.columns(g, g + 1));
    }
  }

  /**
   * One candidate grid for each row of w: with lo and hi as in {@link #fitGrid},
   *
   * <pre>
   *   lo' = shrink·lo, hi' = shrink·hi
   *   s = R(step) with step as there, of lo' and hi'
   *   z = fixed zero of the scheme, or clamp(rint(−lo' / s) + zeroShift, leastZero, maxCode)
   * </pre>
   *
   * @param w m × n
   * @param shrink negative for a grid with a negative scale
   * @param scale out, m × 1, contiguous columns
   * @param zero out, m × 1, contiguous columns
   */
  void candidateGrid(
      Tensor w, GridSpec spec, float shrink, int zeroShift, Tensor scale, Tensor zero);

  /**
   * Fits one grid to each row of w: of the candidates of the ladder, each as in {@link
   * #candidateGrid}, the first with the least error. With q(w) as defined at {@link Grid}, in
   * float32 and in order of the columns:
   *
   * <pre>
   *   error = 0;  d = q(w_j) − w_j;  error = fma(d·d, weight_j, error)   for j = 0 … n−1
   * </pre>
   *
   * @param w m × n
   * @param weight 1 × n, not negative: what a squared error of each column costs
   * @param scale out, m × 1, contiguous columns
   * @param zero out, m × 1, contiguous columns
   */
  void fitGridWeighted(
      Tensor w, Tensor weight, GridSpec spec, GridLadder ladder, Tensor scale, Tensor zero);

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

  /**
   * {@link #quantizeBlock} with M partial solutions a row instead of one. Path p of row r is row
   * {@code p·m + r} of w, codes and e. At column j each path, of cost c, is continued twice: with
   * its nearest code u, and with the neighbour of u on the other side of the weight, {@code u + 1}
   * if {@code (w − q ≥ 0) = (s > 0)}, else {@code u − 1}, unless that is no code. A continuation
   * costs, in float32,
   *
   * <pre>
   *   e = (w − q) / U[j][j]
   *   c' = fma(0.5·e, e, c)
   * </pre>
   *
   * and the M cheapest of all continuations of a row are its paths 0 … M−1, in order of c', equal
   * ones in order of the path they continue, the nearest code first. Their weights are updated as
   * in {@link #quantizeBlock}.
   *
   * @param w M·m × B, in: the current weights; out: the errors e of the surviving paths
   * @param cost m × M, contiguous columns; in: what each path has cost so far, in ascending order,
   *     infinite for paths that do not exist; out: the same after this block
   * @param u B × B, rows contiguous, the upper triangle is read
   * @param grid grids of these B columns, one for all paths of a row: m rows
   * @param codes out, U8, M·m × B
   * @param source out, I32, 1 × M·m: for each row of w, the row that held the path it continues
   *     before this block
   */
  void beamBlock(Tensor w, Tensor cost, Tensor u, Grid grid, Tensor codes, Tensor source);

  /**
   * Of the paths of {@link #beamBlock} keeps those that come from where the best path of their row
   * does: {@code cost[r][p] ← ∞} where {@code origin[p·m + r] ≠ origin[r]}.
   *
   * @param origin I32, 1 × M·m: for each path, where it was
   * @param cost m × M, contiguous columns, in and out
   */
  void keepDescendants(Tensor origin, Tensor cost);

  /**
   * One sweep of coordinate descent over a block of B columns: moves each code by the integer that
   * minimises the row's {@code (W − Q)·H·(W − Q)ᵀ} with all other codes held. For j = 0 … B−1, with
   * g the gradient and {@code k = rint(g[:, j] / (s·H[j][j]))}, 0 if {@code H[j][j] = 0}:
   *
   * <pre>
   *   u' = clamp(u + k, minCode, maxCode)
   *   d = s·(u' − u)
   *   g[:, i] = fma(−d, H[j][i], g[:, i])   for i = 0 … B−1
   *   codes[:, j] = u',  delta[:, j] = d
   * </pre>
   *
   * @param gradient m × B, in and out: these columns of {@code (W − Q)·H}
   * @param h B × B, rows contiguous: the block of H
   * @param grid grids of these B columns
   * @param codes U8, m × B, in and out
   * @param delta out, m × B: by how much Q changed
   */
  void descendBlock(Tensor gradient, Tensor h, Grid grid, Tensor codes, Tensor delta);

  /**
   * The normal equations of {@link #refitScales}, row by row. With {@code t_g} the columns of group
   * g of the steps {@code T = U − Z} and zeros elsewhere:
   *
   * <pre>
   *   A_gh = t_g·H·t_hᵀ    b_g = (W − Q)·H·t_gᵀ
   * </pre>
   *
   * Not exact: at least float32 accuracy.
   *
   * @param steps m × n, contiguous columns, numbers that bfloat16 and float16 hold, as all steps of
   *     grids are; group g is the columns {@code g·n/G … (g+1)·n/G − 1}
   * @param difference m × n, contiguous columns: W − Q
   * @param h n × n, rows contiguous, symmetric
   * @param normal out, m × G(G+1)/2, contiguous columns: row by row the lower triangle of A, {@code
   *     A_gh} at {@code g(g+1)/2 + h}, {@code h ≤ g}
   * @param gradient out, m × G, contiguous columns: b
   */
  void refitSystem(Tensor steps, Tensor difference, Tensor h, Tensor normal, Tensor gradient);

  /**
   * Refits the scales of each row to codes that stay. With {@code Q = Σ_g s_g·t_g} the row's loss
   * is a quadratic in the scales; its minimum lies at {@code s + δ} with {@code A·δ = b}, {@code
   * A_gh = t_g·H·t_hᵀ}, {@code b_g = (W − Q)·H·t_gᵀ}. The system is solved with {@code 1e-6} of the
   * mean diagonal added to A's. The rounded scales {@code s' = R(s + δ)}, each with the sign of s,
   * replace s in a row if with {@code δ' = s' − s} the loss changes by {@code δ'·A·δ'ᵀ − 2·b·δ'ᵀ <
   * 0}; otherwise, or if A is not positive definite, the row stays as it is. Not exact: at least
   * float32 accuracy.
   *
   * @param normal m × G(G+1)/2, A as {@link #refitSystem} leaves it
   * @param gradient m × G, contiguous columns: b
   * @param scale m × G, contiguous columns, in and out
   * @param change out, m × 1: what that adds to {@code (W − Q)·H·(W − Q)ᵀ}, 0 where the row stays
   */
  void refitScales(Tensor normal, Tensor gradient, GridSpec spec, Tensor scale, Tensor change);

  /** Rounds every weight to its nearest code: {@code codes = u(w)} as defined at {@link Grid}. */
  void quantizeNearest(Tensor w, Grid grid, Tensor codes);

  /** {@code w = s·(u − z)} as defined at {@link Grid}; w has any layout. */
  void dequantize(Tensor codes, Grid grid, Tensor w);

  /**
   * {@code difference ← w − s·(u − z)}: what weights have beyond the values of codes.
   *
   * @param w m × n, contiguous columns
   * @param codes m × n, contiguous columns
   * @param difference out, m × n, contiguous columns; may be w
   */
  void subtract(Tensor w, Tensor codes, Grid grid, Tensor difference);
}
