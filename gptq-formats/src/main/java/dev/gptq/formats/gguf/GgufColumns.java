package dev.gptq.formats.gguf;

import com.google.common.base.Preconditions;
import java.lang.foreign.MemorySegment;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/** Columns of matrices that move in runs of whole blocks. */
public final class GgufColumns {
  private GgufColumns() {}

  /** Whether runs of so many columns are whole blocks of a type. */
  public static boolean fits(GgufType type, int run) {
    return run % type.block() == 0;
  }

  /**
   * Copies rows of a matrix with its columns in another order.
   *
   * @param rows the matrix
   * @param columns of it
   * @param run columns that stay together, whole blocks
   * @param from the column from which that comes which stands in a column, of the first of runs
   * @param to as large as rows
   */
  public static void move(
      MemorySegment rows,
      GgufType type,
      int columns,
      int run,
      IntUnaryOperator from,
      MemorySegment to) {
    Preconditions.checkArgument(fits(type, run), "%s columns are no blocks of %s", run, type);
    long rowBytes = type.bytes(columns);
    long bytes = type.bytes(run);
    IntStream.range(0, Math.toIntExact(rows.byteSize() / rowBytes))
        .parallel()
        .forEach(row -> {
          for (int at = 0; at < columns / run; at++) {
            long source = row * rowBytes + from.applyAsInt(at * run) / run * bytes;
            MemorySegment.copy(rows, source, to, row * rowBytes + at * bytes, bytes);
          }
        });
  }
}
