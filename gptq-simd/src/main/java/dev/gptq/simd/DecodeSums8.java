package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * {@link DecodeSums} for codes of 8 bits: the 4 slots of a word written out, two sums for each of
 * its two vectors of outputs.
 */
final class DecodeSums8 {
  private static final long L = Lanes.BYTES;

  private DecodeSums8() {}

  /** As {@link DecodeSums#sums}. */
  static void sums(
      MemorySegment words, long at, int rows, float[] x, int slot, float[] sums, int sumAt) {
    FloatVector s00 = FloatVector.zero(Lanes.F);
    FloatVector s01 = s00;
    FloatVector s10 = s00;
    FloatVector s11 = s00;
    for (int row = 0; row < rows; row++) {
      long word = at + row * (2 * L);
      int xi = slot + row * 4;
      IntVector w0 = Lanes.loadInts(words, word);
      IntVector w1 = Lanes.loadInts(words, word + L);
      FloatVector x0 = FloatVector.broadcast(Lanes.F, x[xi]);
      s00 = Lanes.toFloat(w0.and(0xff)).fma(x0, s00);
      s10 = Lanes.toFloat(w1.and(0xff)).fma(x0, s10);
      FloatVector x1 = FloatVector.broadcast(Lanes.F, x[xi + 1]);
      s01 = Lanes.toFloat(w0.and(0xff00)).fma(x1, s01);
      s11 = Lanes.toFloat(w1.and(0xff00)).fma(x1, s11);
      FloatVector x2 = FloatVector.broadcast(Lanes.F, x[xi + 2]);
      s00 = Lanes.toFloat(w0.and(0xff0000)).fma(x2, s00);
      s10 = Lanes.toFloat(w1.and(0xff0000)).fma(x2, s10);
      FloatVector x3 = FloatVector.broadcast(Lanes.F, x[xi + 3]);
      s01 = Lanes.toFloat(w0.and(0xff000000)).fma(x3, s01);
      s11 = Lanes.toFloat(w1.and(0xff000000)).fma(x3, s11);
    }
    s00.add(s01).intoArray(sums, sumAt);
    s10.add(s11).intoArray(sums, sumAt + Lanes.COUNT);
  }
}
