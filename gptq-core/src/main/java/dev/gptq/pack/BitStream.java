package dev.gptq.pack;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Codes of b bits as one contiguous little-endian bit stream over 32-bit words: code k occupies the
 * bits {@code [k·b, k·b + b)} of the stream, so a code of 3 bits may straddle two words, its low
 * bits on top of the first. Streams run down the columns of a matrix of words: word w of stream c
 * is at index {@code w·streams + c}.
 */
public final class BitStream {
  private static final ValueLayout.OfInt WORD =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private BitStream() {}

  /** Words that hold {@code codes} codes. */
  public static int words(int codes, int bits) {
    return Math.toIntExact(((long) codes * bits + 31) / 32);
  }

  /** Code k of stream c out of {@code streams}. */
  public static int get(MemorySegment words, int streams, int c, int k, int bits) {
    long bit = (long) k * bits;
    long word = bit >>> 5;
    int shift = (int) (bit & 31);
    int value = word(words, word * streams + c) >>> shift;
    if (shift + bits > 32) {
      value |= word(words, (word + 1) * streams + c) << (32 - shift);
    }
    return value & ((1 << bits) - 1);
  }

  /** Sets code k of stream c; the bits must be zero before. */
  public static void put(MemorySegment words, int streams, int c, int k, int bits, int code) {
    long bit = (long) k * bits;
    long word = bit >>> 5;
    int shift = (int) (bit & 31);
    or(words, word * streams + c, code << shift);
    if (shift + bits > 32) {
      or(words, (word + 1) * streams + c, code >>> (32 - shift));
    }
  }

  private static int word(MemorySegment words, long index) {
    return words.get(WORD, 4 * index);
  }

  private static void or(MemorySegment words, long index, int bits) {
    words.set(WORD, 4 * index, words.get(WORD, 4 * index) | bits);
  }
}
