package dev.gptq.formats.awq;

import dev.gptq.formats.packed.Elements;
import java.lang.foreign.MemorySegment;

/**
 * Eight fields of 4 bits a word: output j of each eight in field {@code 0, 4, 1, 5, 2, 6, 3, 7} for
 * j = 0 … 7, counted from the low end.
 */
final class AwqWords {
  /** Outputs of a word. */
  static final int OUTPUTS = 8;

  private static final int[] FIELD = {0, 4, 1, 5, 2, 6, 3, 7};

  private AwqWords() {}

  /** The field of an output in a row of words that begins at a word. */
  static int get(MemorySegment words, long first, int output) {
    return words.getAtIndex(Elements.INT, first + output / OUTPUTS) >>> shift(output) & 0xf;
  }

  /** Sets a field, which must be zero before. */
  static void put(MemorySegment words, long first, int output, int field) {
    long word = first + output / OUTPUTS;
    words.setAtIndex(
        Elements.INT, word, words.getAtIndex(Elements.INT, word) | field << shift(output));
  }

  private static int shift(int output) {
    return AwqFormat.BITS * FIELD[output % OUTPUTS];
  }
}
