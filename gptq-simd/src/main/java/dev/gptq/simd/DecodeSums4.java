package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * {@link DecodeSums} for codes of 4 bits: the four slots of a word written out, two sums for each
 * of the two vectors of outputs. Words have 16 bits because eight slots written out are more than
 * the compiler inlines.
 */
final class DecodeSums4 {
  private static final long L = Lanes.BYTES;

  private DecodeSums4() {}

  /** As {@link DecodeSums#sums}. */
  static void sums(
      MemorySegment words, long at, int rows, float[] x, int slot, float[] sums, int sumAt) {
    FloatVector s00 = FloatVector.zero(Lanes.F);
    FloatVector s01 = s00;
    FloatVector s10 = s00;
    FloatVector s11 = s00;
    for (int row = 0; row < rows; row++) {
      long word = at + row * L;
      int xi = slot + row * 4;
      IntVector w0 = Lanes.loadShorts(words, word);
      IntVector w1 = Lanes.loadShorts(words, word + L / 2);
      FloatVector x0 = FloatVector.broadcast(Lanes.F, x[xi]);
      s00 = Lanes.toFloat(w0.and(0xf)).fma(x0, s00);
      s10 = Lanes.toFloat(w1.and(0xf)).fma(x0, s10);
      FloatVector x1 = FloatVector.broadcast(Lanes.F, x[xi + 1]);
      s01 = Lanes.toFloat(w0.and(0xf0)).fma(x1, s01);
      s11 = Lanes.toFloat(w1.and(0xf0)).fma(x1, s11);
      FloatVector x2 = FloatVector.broadcast(Lanes.F, x[xi + 2]);
      s00 = Lanes.toFloat(w0.and(0xf00)).fma(x2, s00);
      s10 = Lanes.toFloat(w1.and(0xf00)).fma(x2, s10);
      FloatVector x3 = FloatVector.broadcast(Lanes.F, x[xi + 3]);
      s01 = Lanes.toFloat(w0.and(0xfffff000)).fma(x3, s01);
      s11 = Lanes.toFloat(w1.and(0xfffff000)).fma(x3, s11);
    }
    s00.add(s01).intoArray(sums, sumAt);
    s10.add(s11).intoArray(sums, sumAt + Lanes.COUNT);
  }
}
