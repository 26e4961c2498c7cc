package dev.gptq.testkit;

import java.util.Arrays;
import java.util.stream.Stream;

/** Sizes around the borders of vectors, blocks and tiles. */
final class Shapes {
  /** Lengths: one, two, one lane more and less than 8, 16 and 32 lanes, a block of 128. */
  static final int[] VECTOR = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 127, 128, 129};

  /** Rows and columns. */
  static final int[][] MATRIX = {
    {1, 1}, {2, 1}, {1, 7}, {8, 9}, {15, 17}, {16, 16}, {33, 31}, {3, 127}, {129, 5}, {61, 128}
  };

  /** The same, and one whose rows are more than what takes 64 of them and 128 columns at a time. */
  static final int[][] ROWS =
      Stream.concat(Arrays.stream(MATRIX), Stream.of(new int[] {130, 136})).toArray(int[][]::new);

  private Shapes() {}
}
