package dev.gptq.quantize;

import java.util.Arrays;
import java.util.stream.IntStream;

/** The order in which columns are quantized. */
public enum ColumnOrder {
  /** As stored. */
  NATURAL {
    @Override
    int[] of(float[] diagonal, int groupSize) {
      return IntStream.range(0, diagonal.length).toArray();
    }
  },
  /**
   * Act-order: by descending diagonal of the Hessian, so that the columns which matter most are
   * quantized while most others can still compensate. Ties keep their order. Groups are formed in
   * this order, hence the checkpoint needs an irregular {@code g_idx}, unless groups are static.
   */
  ACTIVATION {
    @Override
    int[] of(float[] diagonal, int groupSize) {
      return sorted(IntStream.range(0, diagonal.length), diagonal);
    }
  },
  /**
   * Group-aware order (Gafni et al., 2025): by descending diagonal inside each group, and the
   * groups by their largest diagonal. Groups stay what they are, so {@code g_idx} stays trivial.
   */
  GROUP_AWARE {
    @Override
    int[] of(float[] diagonal, int groupSize) {
      int[][] groups =
          IntStream.range(0, diagonal.length / groupSize)
              .mapToObj(g -> sorted(members(g, groupSize), diagonal))
              .toArray(int[][]::new);
      int[] leaders = sorted(Arrays.stream(groups).mapToInt(group -> group[0]), diagonal);
      return IntStream.of(leaders).flatMap(c -> IntStream.of(groups[c / groupSize])).toArray();
    }
  };

  /**
   * The columns in the order of quantization.
   *
   * @param diagonal diagonal of the Hessian, dead columns counted as 1
   * @param groupSize columns of a group; divides the number of columns
   */
  abstract int[] of(float[] diagonal, int groupSize);

  private static IntStream members(int group, int groupSize) {
    return IntStream.range(group * groupSize, (group + 1) * groupSize);
  }

  /** By descending key, of equal keys the lesser column first; a device waits meanwhile. */
  private static int[] sorted(IntStream columns, float[] key) {
    return columns
        .mapToLong(c -> (long) ~ordered(key[c]) << Integer.SIZE | c)
        .sorted()
        .mapToInt(both -> (int) both)
        .toArray();
  }

  /** A number that is greater where the float is. */
  private static int ordered(float value) {
    int bits = Float.floatToIntBits(value);
    return bits ^ (bits >> (Integer.SIZE - 1) & Integer.MAX_VALUE);
  }
}
