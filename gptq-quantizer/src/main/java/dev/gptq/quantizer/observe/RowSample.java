package dev.gptq.quantizer.observe;

import com.google.common.primitives.ImmutableDoubleArray;
import com.google.common.primitives.ImmutableIntArray;

/**
 * Some rows of a matrix that stand for all where each row's error counts by a square of its own:
 * one of each of as many stretches of equal length, which counts by the sum of the squares of its
 * stretch. Its place in the stretch differs from one stretch to the next, so that rows that repeat
 * at a distance, as the heads of an attention layer do, are met in all their places.
 */
final class RowSample {
  /** The fraction of the golden ratio, whose multiples leave no gap between 0 and 1 for long. */
  private static final double GOLDEN = (Math.sqrt(5) - 1) / 2;

  private final ImmutableIntArray rows;
  private final ImmutableDoubleArray squares;

  private RowSample(ImmutableIntArray rows, ImmutableDoubleArray squares) {
    this.rows = rows;
    this.squares = squares;
  }

  /**
   * All rows, if there are no more than so many, or else so many of them.
   *
   * @param squares what a squared error of each row counts
   */
  static RowSample of(float[] squares, int most) {
    int size = Math.min(most, squares.length);
    ImmutableIntArray.Builder rows = ImmutableIntArray.builder(size);
    ImmutableDoubleArray.Builder sums = ImmutableDoubleArray.builder(size);
    for (int i = 0; i < size; i++) {
      int from = (int) ((long) i * squares.length / size);
      int to = (int) ((i + 1L) * squares.length / size);
      double place = i * GOLDEN % 1;
      rows.add(from + (int) (place * (to - from)));
      double sum = 0;
      for (int r = from; r < to; r++) {
        sum += squares[r];
      }
      sums.add(sum);
    }
    return new RowSample(rows.build(), sums.build());
  }

  int size() {
    return rows.length();
  }

  /** Which rows, in rising order. */
  int[] rows() {
    return rows.toArray();
  }

  /** What a squared error of row i of the sample counts. */
  double square(int i) {
    return squares.get(i);
  }
}
