package dev.gptq.formats.packed;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;

/** Matrices of 32-bit words. */
public final class Words {
  /** Columns that are moved at once, so that both sides are read and written in long runs. */
  private static final int STRIP = 64;

  private Words() {}

  /** The transpose of {@code rows × columns} words, in new memory of the arena. */
  public static MemorySegment transposed(MemorySegment words, int rows, int columns, Arena arena) {
    MemorySegment result = arena.allocate(4L * rows * columns, 8);
    IntStream.range(0, Math.ceilDiv(columns, STRIP))
        .parallel()
        .forEach(strip -> {
          int from = strip * STRIP;
          move(words, rows, columns, from, Math.min(columns, from + STRIP), result);
        });
    return result;
  }

  /** Moves some columns through arrays, which code that is not compiled yet reads much faster. */
  private static void move(
      MemorySegment words, int rows, int columns, int from, int to, MemorySegment result) {
    int[] run = new int[to - from];
    int[] moved = new int[Math.multiplyExact(run.length, rows)];
    for (int r = 0; r < rows; r++) {
      MemorySegment.copy(words, Elements.INT, 4 * ((long) r * columns + from), run, 0, run.length);
      for (int c = 0; c < run.length; c++) {
        moved[c * rows + r] = run[c];
      }
    }
    MemorySegment.copy(moved, 0, result, Elements.INT, 4L * from * rows, moved.length);
  }
}
