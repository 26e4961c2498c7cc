package dev.gptq.simd.kernels;

import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import java.lang.foreign.MemorySegment;

/**
 * What GPTQ does with a block of columns, in place of what is written in Java. Matrices have
 * contiguous columns, rows know nothing of each other, and the bits are those of Java.
 *
 * <p>Methods may be called by several threads at once, with different rows.
 */
public interface ColumnKernels {
  /**
   * The grids of all columns, as {@link dev.gptq.grid.Grid} has them.
   *
   * @param scale float32, a row for each group, from the first of the matrix' rows on
   * @param zero likewise
   * @param groupOf int32, the group of each column
   * @param midRise whether codes stand for the middles between multiples of the scale
   * @param least the smallest code
   * @param most the largest code
   */
  record Grids(
      Rows scale, Rows zero, MemorySegment groupOf, boolean midRise, float least, float most) {}

  /** Rows that are worked on at a time: tasks are multiples of so many. */
  int rows();

  /**
   * Quantizes the columns one after the other, for j = 0, 1, …
   *
   * <pre>
   *   e_j = (w_j − q(w_j)) / U[j][j]
   *   w_k = fma(−e_j, U[j][k], w_k)   for k &gt; j
   * </pre>
   *
   * @param w a row for each column; in: the weights; out: the scaled errors e
   * @param u a row for each row of U, whose upper triangle is read
   * @param groups of the grids
   * @param codes out, a row of U8 for each column, which it counts in bytes
   * @param shape rows and columns of the block
   * @param scratch room for {@link #rows} numbers of each column
   */
  void quantize(
      Rows w, Rows u, Grids grids, int groups, Rows codes, Shape shape, MemorySegment scratch);

  /**
   * {@code difference = w − s·(u − z)} with u the codes; difference may be w.
   *
   * @param groups of the grids
   */
  void subtract(Rows w, Grids grids, int groups, Rows codes, Rows difference, Shape shape);
}
