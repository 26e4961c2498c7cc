package dev.gptq.grid;

import dev.gptq.tensor.Tensor;

/**
 * The grids of a weight matrix: one scale and one zero point for each row and group, and the group
 * of each column. A weight {@code w} of row r and column c, with {@code s = scale[r][g]}, {@code z
 * = zero[r][g]}, {@code g = groupOf[c]}, has the code and the value
 *
 * <pre>
 *   t = w / s                                   (one IEEE division)
 *   u = clamp(round(t) + z, minCode, maxCode)   round = rint, or floor(t) + ½ for a mid-rise scheme
 *   q = s · (u − z)
 * </pre>
 *
 * @param spec scheme, width, search, stored type of scales
 * @param scale F32, rows × groups, contiguous columns
 * @param zero F32, rows × groups, contiguous columns
 * @param groupOf I32, 1 × columns: index of the group, a column of {@code scale}, of each column
 */
public record Grid(GridSpec spec, Tensor scale, Tensor zero, Tensor groupOf) {

  /** The grids of columns {@code from} to {@code to} (exclusive) of the matrix. */
  public Grid columns(int from, int to) {
    return new Grid(spec, scale, zero, groupOf.columns(from, to));
  }

  /** Number of groups. */
  public int groups() {
    return scale.columns();
  }
}
