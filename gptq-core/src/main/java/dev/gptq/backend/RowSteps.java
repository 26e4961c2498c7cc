package dev.gptq.backend;

/**
 * Numbers of rows that products of activations are rounded up to, where a library looks for a
 * kernel for each number it has not met. Experts get ever other numbers of tokens; a sixteenth more
 * rows at most leaves a hundred numbers.
 */
public final class RowSteps {
  private static final int LEAST = 8;
  private static final int MOST = 512;

  private RowSteps() {}

  /**
   * The least of these numbers that is not below {@code rows}: multiples of 8 up to 256, of 16 up
   * to 512 and so on, at last of 512. Fewer than 8 rows stay as many, since one row has kernels of
   * its own.
   */
  public static int up(int rows) {
    if (rows < LEAST) {
      return rows;
    }
    int step = Math.clamp(Integer.highestOneBit(rows) / 16, LEAST, MOST);
    return Math.ceilDiv(rows, step) * step;
  }
}
