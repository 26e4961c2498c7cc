package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The sums of {@link DecodeKernel} over one group, {@code Σ_i x_i·c_i}, for 4 vectors of outputs
 * (10 of 16 registers).
 */
final class DecodeSums4 {
  private static final long L = Lanes.BYTES;

  private DecodeSums4() {}

  /**
   * Reads {@code rows} rows of words from byte {@code at} on and as many slots of x from {@code
   * xAt} on, and stores the sums at {@code yAt}.
   */
  static void sums(
      MemorySegment words,
      long at,
      int rows,
      int perWord,
      int bits,
      MemorySegment x,
      long xAt,
      MemorySegment y,
      long yAt) {
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    for (int row = 0; row < rows; row++) {
      long word = at + row * (8 * L);
      long slot = xAt + row * (4L * perWord);
      IntVector w0 = Lanes.loadInts(words, word);
      IntVector w1 = Lanes.loadInts(words, word + L);
      IntVector w2 = Lanes.loadInts(words, word + 2 * L);
      IntVector w3 = Lanes.loadInts(words, word + 3 * L);
      int mask = (1 << bits) - 1;
      // Not written out: with the slots unrolled the compiler stops inlining and boxes vectors.
      for (int i = 0; i < perWord; i++, mask <<= bits) {
        FloatVector xi = Lanes.broadcast(x, slot + i * 4L);
        IntVector m = IntVector.broadcast(Lanes.I, mask);
        s0 = Lanes.toFloat(w0.and(m)).fma(xi, s0);
        s1 = Lanes.toFloat(w1.and(m)).fma(xi, s1);
        s2 = Lanes.toFloat(w2.and(m)).fma(xi, s2);
        s3 = Lanes.toFloat(w3.and(m)).fma(xi, s3);
      }
    }
    Lanes.store(s0, y, yAt);
    Lanes.store(s1, y, yAt + L);
    Lanes.store(s2, y, yAt + 2 * L);
    Lanes.store(s3, y, yAt + 3 * L);
  }
}
