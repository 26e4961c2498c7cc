package dev.gptq.simd.kernels;

import dev.gptq.simd.kernels.ForwardKernels.Rows;

/**
 * The innermost parts of a product of dense matrices of float32, in place of those in Java. Each
 * element of {@code A·B} is one chain of fused multiply-adds, from 0 and in order of depth, so that
 * the bits are those of Java and of every processor.
 *
 * <p>Methods may be called by several threads at once, with different results.
 */
public interface DenseKernels {
  /** Rows of a tile: a panel of A is that wide. */
  int rows();

  /** Columns of a tile: a panel of B is that wide. */
  int columns();

  /**
   * Packs rows of A: {@link #rows} of them for one k are neighbours, then come those of the next k;
   * panels follow one another. Rows beyond the last become zeros.
   *
   * @param a its stride leads to the next row
   * @param next numbers from one k to the next; it or the stride is 1
   * @param panels room for {@code depth} numbers of each row of whole panels
   */
  void packA(Rows a, long next, int rows, int depth, Rows panels);

  /** Packs columns of B likewise, into panels of {@link #columns}. */
  void packB(Rows b, long next, int columns, int depth, Rows panels);

  /**
   * {@code C ← α·A·B + β·C}, where β = 0 clears NaN too.
   *
   * @param rows of A and C
   * @param columns of B and C
   * @param lower how many columns the diagonal lies to the right of the upper left corner, where
   *     tiles that lie wholly above it are left out; as many as there are columns for all of C
   */
  void multiply(
      float alpha,
      Rows panelsA,
      Rows panelsB,
      int rows,
      int columns,
      int depth,
      float beta,
      Rows c,
      long lower);
}
