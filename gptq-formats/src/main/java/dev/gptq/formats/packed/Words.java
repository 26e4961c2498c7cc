package dev.gptq.formats.packed;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/** Matrices of 32-bit words. */
public final class Words {
  /** Rows that are moved at once: a line of the cache holds sixteen words. */
  private static final int TILE = 16;

  private Words() {}

  /** The transpose of {@code rows × columns} words, in new memory of the arena. */
  public static MemorySegment transposed(MemorySegment words, int rows, int columns, Arena arena) {
    MemorySegment result = arena.allocate(4L * rows * columns, 8);
    IntStream.range(0, Math.ceilDiv(columns, TILE))
        .parallel()
        .forEach(tile -> {
          int to = Math.min(columns, (tile + 1) * TILE);
          for (int r = 0; r < rows; r++) {
            for (int c = tile * TILE; c < to; c++) {
              result.setAtIndex(
                  Elements.INT,
                  (long) c * rows + r,
                  words.getAtIndex(Elements.INT, (long) r * columns + c));
            }
          }
        });
    return result;
  }
}
