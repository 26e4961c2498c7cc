package dev.gptq.pack;

import dev.gptq.grid.Scheme;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;

/** Packs codes of one byte each. */
public final class Packer {
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Packer() {}

  /**
   * A packed matrix in memory of {@code arena}.
   *
   * @param rows output features
   * @param groupOf group of each column
   * @param codes one byte each, all rows of column 0, then of column 1, …
   * @param scales float32, groups × rows
   * @param zeros float32, groups × rows, for schemes that have zero points
   */
  public static PackedMatrix pack(
      Scheme scheme,
      int bits,
      int rows,
      int[] groupOf,
      MemorySegment codes,
      MemorySegment scales,
      Optional<MemorySegment> zeros,
      Arena arena) {
    int columns = groupOf.length;
    int groups = Math.toIntExact(scales.byteSize() / Float.BYTES / rows);
    MemorySegment words = arena.allocate(4L * BitStream.words(columns, bits) * rows, Integer.BYTES);
    for (int i = 0; i < columns; i++) {
      long bit = (long) i * bits;
      int shift = (int) (bit & 31);
      packColumn(codes, (long) i * rows, words, (bit >>> 5) * rows, rows, shift);
      if (shift + bits > 32) {
        packColumn(codes, (long) i * rows, words, ((bit >>> 5) + 1) * rows, rows, shift - 32);
      }
    }
    return new PackedMatrix(
        scheme,
        bits,
        rows,
        columns,
        groups,
        words,
        scales,
        zeros,
        isTrivial(groupOf, groups) ? Optional.empty() : Optional.of(groupOf.clone()));
  }

  /** Ors one column's codes, shifted left (or right if negative), into a row of words. */
  private static void packColumn(
      MemorySegment codes, long code, MemorySegment words, long word, int rows, int shift) {
    for (int o = 0; o < rows; o++) {
      int u = Byte.toUnsignedInt(codes.get(ValueLayout.JAVA_BYTE, code + o));
      long at = 4 * (word + o);
      words.set(WORD, at, words.get(WORD, at) | (shift < 0 ? u >>> -shift : u << shift));
    }
  }

  private static boolean isTrivial(int[] groupOf, int groups) {
    if (groupOf.length % groups != 0) {
      return false;
    }
    int size = groupOf.length / groups;
    for (int i = 0; i < groupOf.length; i++) {
      if (groupOf[i] != i / size) {
        return false;
      }
    }
    return true;
  }
}
