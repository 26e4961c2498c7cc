package dev.gptq.pack;

import dev.gptq.grid.Scheme;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.stream.IntStream;

/** Packs codes of one byte each. */
public final class Packer {
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Packer() {}

  /**
   * A packed matrix. Its words are on the Java heap, and all processors help.
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
      byte[] codes,
      MemorySegment scales,
      Optional<MemorySegment> zeros) {
    int columns = groupOf.length;
    int groups = Math.toIntExact(scales.byteSize() / Float.BYTES / rows);
    MemorySegment words =
        MemorySegment.ofArray(new int[Math.multiplyExact(BitStream.words(columns, bits), rows)]);
    IntStream.range(0, BitStream.words(columns, bits))
        .parallel()
        .forEach(word -> packWords(codes, bits, columns, rows, word, words));
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

  /** Packs a row of words: the codes of some columns, the outermost of which it may cut. */
  private static void packWords(
      byte[] codes, int bits, int columns, int rows, int word, MemorySegment words) {
    long start = 32L * word;
    int from = (int) (start / bits);
    int to = (int) Math.min(columns, Math.ceilDiv(start + 32, bits));
    // Numbers of an array are reached much faster than those of a segment where code is new.
    int[] row = new int[rows];
    for (int i = from; i < to; i++) {
      packColumn(codes, i * rows, row, (int) ((long) i * bits - start));
    }
    MemorySegment.copy(row, 0, words, WORD, 4L * word * rows, rows);
  }

  /** Ors one column's codes, shifted left (or right if negative), into a row of words. */
  private static void packColumn(byte[] codes, int code, int[] words, int shift) {
    for (int o = 0; o < words.length; o++) {
      int u = Byte.toUnsignedInt(codes[code + o]);
      words[o] |= shift < 0 ? u >>> -shift : u << shift;
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
