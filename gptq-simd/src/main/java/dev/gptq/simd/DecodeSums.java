package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The sums of {@link DecodeKernel} over one group, {@code Σ_i x_i·c_i}, for codes of any width: one
 * slot of a word after the other.
 */
final class DecodeSums {
  private static final long L = Lanes.BYTES;

  private DecodeSums() {}

  /**
   * Reads {@code rows} rows of words from byte {@code at} on and as many slots of x from {@code
   * slot} on, and stores the sums at {@code sumAt}.
   */
  static void sums(
      MemorySegment words,
      long at,
      int rows,
      int perWord,
      int bits,
      float[] x,
      int slot,
      float[] sums,
      int sumAt) {
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    IntVector first = IntVector.broadcast(Lanes.I, (1 << bits) - 1);
    for (int row = 0; row < rows; row++) {
      long word = at + row * (2 * L);
      IntVector w0 = Lanes.loadInts(words, word);
      IntVector w1 = Lanes.loadInts(words, word + L);
      IntVector mask = first;
      // Not written out: with the slots unrolled the compiler stops inlining and boxes vectors.
      for (int i = 0; i < perWord; i++) {
        FloatVector xi = FloatVector.broadcast(Lanes.F, x[slot + row * perWord + i]);
        s0 = Lanes.toFloat(w0.and(mask)).fma(xi, s0);
        s1 = Lanes.toFloat(w1.and(mask)).fma(xi, s1);
        mask = mask.lanewise(VectorOperators.LSHL, bits);
      }
    }
    s0.intoArray(sums, sumAt);
    s1.intoArray(sums, sumAt + Lanes.COUNT);
  }
}
