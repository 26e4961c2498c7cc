package dev.gptq.formats.codec;

import dev.gptq.host.NativeHeap;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

/** Elements that are computed row by row. */
final class Computed {
  static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfDouble DOUBLE =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int ALIGNMENT = 64;

  private Computed() {}

  /** Computes one row. */
  @FunctionalInterface
  interface RowFiller {
    /** Fills the bytes of a row. */
    void fill(int row, MemorySegment to);
  }

  /** Rows of that many bytes, each filled once, by all processors. */
  static MemorySegment segment(int rows, long rowBytes, RowFiller filler) {
    long bytes = Math.multiplyExact(rows, rowBytes);
    MemorySegment all = NativeHeap.allocate(bytes, ALIGNMENT, Arena.ofAuto());
    IntStream.range(0, rows)
        .parallel()
        .forEach(row -> filler.fill(row, all.asSlice(row * rowBytes, rowBytes)));
    return all.asReadOnly();
  }

  /** The nearest bfloat16, ties to even; NaN stays NaN. */
  static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }
}
