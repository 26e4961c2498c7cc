package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;

/**
 * The innermost product of {@link Gemm} for 32 vector registers: A·B for a tile of 12 rows and 2
 * vectors of columns, 24 sums held in registers. A is packed {@code depth × 12}, B {@code depth × 2
 * vectors}.
 */
final class GemmKernel12x2 {
  private static final int W = Lanes.COUNT;

  private GemmKernel12x2() {}

  static void tile(float[] a, int aStart, float[] b, int bStart, int depth, float[] sums, int at) {
    FloatVector s00 = FloatVector.zero(Lanes.F);
    FloatVector s01 = FloatVector.zero(Lanes.F);
    FloatVector s10 = FloatVector.zero(Lanes.F);
    FloatVector s11 = FloatVector.zero(Lanes.F);
    FloatVector s20 = FloatVector.zero(Lanes.F);
    FloatVector s21 = FloatVector.zero(Lanes.F);
    FloatVector s30 = FloatVector.zero(Lanes.F);
    FloatVector s31 = FloatVector.zero(Lanes.F);
    FloatVector s40 = FloatVector.zero(Lanes.F);
    FloatVector s41 = FloatVector.zero(Lanes.F);
    FloatVector s50 = FloatVector.zero(Lanes.F);
    FloatVector s51 = FloatVector.zero(Lanes.F);
    FloatVector s60 = FloatVector.zero(Lanes.F);
    FloatVector s61 = FloatVector.zero(Lanes.F);
    FloatVector s70 = FloatVector.zero(Lanes.F);
    FloatVector s71 = FloatVector.zero(Lanes.F);
    FloatVector s80 = FloatVector.zero(Lanes.F);
    FloatVector s81 = FloatVector.zero(Lanes.F);
    FloatVector s90 = FloatVector.zero(Lanes.F);
    FloatVector s91 = FloatVector.zero(Lanes.F);
    FloatVector sa0 = FloatVector.zero(Lanes.F);
    FloatVector sa1 = FloatVector.zero(Lanes.F);
    FloatVector sb0 = FloatVector.zero(Lanes.F);
    FloatVector sb1 = FloatVector.zero(Lanes.F);
    for (int k = 0; k < depth; k++) {
      int ak = aStart + k * 12;
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
      FloatVector a4 = FloatVector.broadcast(Lanes.F, a[ak + 4]);
      s40 = a4.fma(b0, s40);
      s41 = a4.fma(b1, s41);
      FloatVector a5 = FloatVector.broadcast(Lanes.F, a[ak + 5]);
      s50 = a5.fma(b0, s50);
      s51 = a5.fma(b1, s51);
      FloatVector a6 = FloatVector.broadcast(Lanes.F, a[ak + 6]);
      s60 = a6.fma(b0, s60);
      s61 = a6.fma(b1, s61);
      FloatVector a7 = FloatVector.broadcast(Lanes.F, a[ak + 7]);
      s70 = a7.fma(b0, s70);
      s71 = a7.fma(b1, s71);
      FloatVector a8 = FloatVector.broadcast(Lanes.F, a[ak + 8]);
      s80 = a8.fma(b0, s80);
      s81 = a8.fma(b1, s81);
      FloatVector a9 = FloatVector.broadcast(Lanes.F, a[ak + 9]);
      s90 = a9.fma(b0, s90);
      s91 = a9.fma(b1, s91);
      FloatVector aa = FloatVector.broadcast(Lanes.F, a[ak + 10]);
      sa0 = aa.fma(b0, sa0);
      sa1 = aa.fma(b1, sa1);
      FloatVector ab = FloatVector.broadcast(Lanes.F, a[ak + 11]);
      sb0 = ab.fma(b0, sb0);
      sb1 = ab.fma(b1, sb1);
    }
    s00.intoArray(sums, at);
    s01.intoArray(sums, at + W);
    s10.intoArray(sums, at + 2 * W);
    s11.intoArray(sums, at + 3 * W);
    s20.intoArray(sums, at + 4 * W);
    s21.intoArray(sums, at + 5 * W);
    s30.intoArray(sums, at + 6 * W);
    s31.intoArray(sums, at + 7 * W);
    s40.intoArray(sums, at + 8 * W);
    s41.intoArray(sums, at + 9 * W);
    s50.intoArray(sums, at + 10 * W);
    s51.intoArray(sums, at + 11 * W);
    s60.intoArray(sums, at + 12 * W);
    s61.intoArray(sums, at + 13 * W);
    s70.intoArray(sums, at + 14 * W);
    s71.intoArray(sums, at + 15 * W);
    s80.intoArray(sums, at + 16 * W);
    s81.intoArray(sums, at + 17 * W);
    s90.intoArray(sums, at + 18 * W);
    s91.intoArray(sums, at + 19 * W);
    sa0.intoArray(sums, at + 20 * W);
    sa1.intoArray(sums, at + 21 * W);
    sb0.intoArray(sums, at + 22 * W);
    sb1.intoArray(sums, at + 23 * W);
  }
}
