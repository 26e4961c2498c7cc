package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The sums of {@link DecodeKernel} over one group, {@code Σ_i x_i·u_i}, for four vectors of outputs
 * and codes of any width.
 *
 * <p>Vector operations are called directly: past a number of nodes the compiler still inlines the
 * library's methods, which it is told to, but no longer ours, and boxes what they are passed.
 */
final class DecodeSums {
  private static final int W = Lanes.COUNT;
  private static final long L = Lanes.BYTES;

  private DecodeSums() {}

  /**
   * Reads {@code rows} rows of words from byte {@code at} on and as many slots of x from {@code
   * slot} on, and stores the sums at {@code sumAt}. The activation of slot i of a word is expected
   * divided by {@code 2^(i·bits)}, except that of the last slot.
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
    // As in RoundedKernel, asked here.
    if (!words.isNative()) {
      throw new IllegalArgumentException("kernels need native memory");
    }
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    IntVector first = IntVector.broadcast(Lanes.I, (1 << bits) - 1);
    int top = (perWord - 1) * bits;
    for (int row = 0; row < rows; row++) {
      // Offsets within a slice are constants, so that each row is checked once.
      MemorySegment slice = words.asSlice(at + row * (4 * L), 4 * L);
      IntVector w0 = IntVector.fromMemorySegment(Lanes.I, slice, 0, Lanes.ORDER);
      IntVector w1 = IntVector.fromMemorySegment(Lanes.I, slice, L, Lanes.ORDER);
      IntVector w2 = IntVector.fromMemorySegment(Lanes.I, slice, 2 * L, Lanes.ORDER);
      IntVector w3 = IntVector.fromMemorySegment(Lanes.I, slice, 3 * L, Lanes.ORDER);
      int xi = slot + row * perWord;
      IntVector mask = first;
      for (int i = 0; i < perWord - 1; i++) {
        FloatVector v = FloatVector.broadcast(Lanes.F, x[xi + i]);
        s0 = ((FloatVector) w0.and(mask).convert(VectorOperators.I2F, 0)).fma(v, s0);
        s1 = ((FloatVector) w1.and(mask).convert(VectorOperators.I2F, 0)).fma(v, s1);
        s2 = ((FloatVector) w2.and(mask).convert(VectorOperators.I2F, 0)).fma(v, s2);
        s3 = ((FloatVector) w3.and(mask).convert(VectorOperators.I2F, 0)).fma(v, s3);
        mask = mask.lanewise(VectorOperators.LSHL, bits);
      }
      // In place the last code would reach the sign bit.
      FloatVector v = FloatVector.broadcast(Lanes.F, x[xi + perWord - 1]);
      w0 = w0.lanewise(VectorOperators.LSHR, top);
      w1 = w1.lanewise(VectorOperators.LSHR, top);
      w2 = w2.lanewise(VectorOperators.LSHR, top);
      w3 = w3.lanewise(VectorOperators.LSHR, top);
      s0 = ((FloatVector) w0.convert(VectorOperators.I2F, 0)).fma(v, s0);
      s1 = ((FloatVector) w1.convert(VectorOperators.I2F, 0)).fma(v, s1);
      s2 = ((FloatVector) w2.convert(VectorOperators.I2F, 0)).fma(v, s2);
      s3 = ((FloatVector) w3.convert(VectorOperators.I2F, 0)).fma(v, s3);
    }
    s0.intoArray(sums, sumAt);
    s1.intoArray(sums, sumAt + W);
    s2.intoArray(sums, sumAt + 2 * W);
    s3.intoArray(sums, sumAt + 3 * W);
  }
}
