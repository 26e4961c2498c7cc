package dev.gptq.formats;

import dev.gptq.grid.Scheme;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;

/** Packed matrices with random codes, float16 scales and zero points. */
public final class RandomMatrices {
  private RandomMatrices() {}

  public static PackedMatrix of(
      Scheme scheme, int bits, int rows, int columns, int groupSize, boolean shuffled, int seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int size = groupSize == -1 ? columns : groupSize;
    int groups = Math.ceilDiv(columns, size);
    MemorySegment words = MemorySegment.ofArray(new int[BitStream.words(columns, bits) * rows]);
    for (int o = 0; o < rows; o++) {
      for (int i = 0; i < columns; i++) {
        BitStream.put(words, rows, o, i, bits, random.nextInt(1 << bits));
      }
    }
    float[] scales = new float[groups * rows];
    float[] zeros = new float[groups * rows];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = Float.float16ToFloat(Float.floatToFloat16(random.nextFloat() * 0.1f + 1e-4f));
      zeros[i] = random.nextInt(1 << bits);
    }
    int[] groupOf = new int[columns];
    Arrays.setAll(groupOf, i -> shuffled ? random.nextInt(groups) : i / size);
    return new PackedMatrix(
        scheme,
        bits,
        rows,
        columns,
        groups,
        words,
        MemorySegment.ofArray(scales),
        scheme.hasZeroPoint() ? Optional.of(MemorySegment.ofArray(zeros)) : Optional.empty(),
        shuffled || columns % size != 0 ? Optional.of(groupOf) : Optional.empty());
  }
}
