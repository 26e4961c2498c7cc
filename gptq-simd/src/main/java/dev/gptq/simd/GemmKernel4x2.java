package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;

/**
 * The innermost product of {@link Gemm} for 16 vector registers: A·B for a tile of 4 rows and 2
 * vectors of columns, 8 sums held in registers. A is packed {@code depth × 4}, B {@code depth × 2
 * vectors}.
 */
final class GemmKernel4x2 {
  private static final int W = Lanes.COUNT;

  private GemmKernel4x2() {}

  static void tile(float[] a, int aStart, float[] b, int bStart, int depth, float[] sums, int at) {
    FloatVector s00 = FloatVector.zero(Lanes.F);
    FloatVector s01 = FloatVector.zero(Lanes.F);
    FloatVector s10 = FloatVector.zero(Lanes.F);
    FloatVector s11 = FloatVector.zero(Lanes.F);
    FloatVector s20 = FloatVector.zero(Lanes.F);
    FloatVector s21 = FloatVector.zero(Lanes.F);
    FloatVector s30 = FloatVector.zero(Lanes.F);
    FloatVector s31 = FloatVector.zero(Lanes.F);
    for (int k = 0; k < depth; k++) {
      int ak = aStart + k * 4;
      int bk = bStart + k * (2 * W);
      FloatVector b0 = FloatVector.fromArray(Lanes.F, b, bk);
      FloatVector b1 = FloatVector.fromArray(Lanes.F, b, bk + W);
      FloatVector a0 = FloatVector.broadcast(Lanes.F, a[ak]);
      s00 = a0.fma(b0, s00);
      s01 = a0.fma(b1, s01);
      FloatVector a1 = FloatVector.broadcast(Lanes.F, a[ak + 1]);
      s10 = a1.fma(b0, s10);
      s11 = a1.fma(b1, s11);
      FloatVector a2 = FloatVector.broadcast(Lanes.F, a[ak + 2]);
      s20 = a2.fma(b0, s20);
      s21 = a2.fma(b1, s21);
      FloatVector a3 = FloatVector.broadcast(Lanes.F, a[ak + 3]);
      s30 = a3.fma(b0, s30);
      s31 = a3.fma(b1, s31);
    }
    s00.intoArray(sums, at);
    s01.intoArray(sums, at + W);
    s10.intoArray(sums, at + 2 * W);
    s11.intoArray(sums, at + 3 * W);
    s20.intoArray(sums, at + 4 * W);
    s21.intoArray(sums, at + 5 * W);
    s30.intoArray(sums, at + 6 * W);
    s31.intoArray(sums, at + 7 * W);
  }
}
