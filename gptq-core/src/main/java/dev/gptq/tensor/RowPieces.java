package dev.gptq.tensor;

/** Rows of a matrix that are worked on at a time where all of them would need much memory. */
public final class RowPieces {
  /**
   * Pieces are whole tiles of the kernels that multiply them: those of GPUs want columns to begin
   * at 16 bytes, and take several times as long where they do not.
   */
  private static final int TILE = 256;

  private RowPieces() {}

  /**
   * Rows of each piece but the last.
   *
   * @param fitting rows for which there is room
   * @param rows of the matrix
   * @return at least 1; below {@code rows} a multiple of 256 if so many fit
   */
  public static int of(long fitting, int rows) {
    int most = Math.clamp(fitting, 1, Math.max(1, rows));
    return most >= rows || most < TILE ? most : most - most % TILE;
  }
}
