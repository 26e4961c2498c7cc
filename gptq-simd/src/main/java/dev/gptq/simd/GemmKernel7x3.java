package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The innermost product of {@link Gemm} for 32 vector registers: {@code C ← C + α·A·B} for a tile
 * of 7 rows and 3 vectors of columns, 21 sums held in registers. A is packed {@code depth × 7}, B
 * {@code depth × 3 vectors}.
 */
final class GemmKernel7x3 {
  private static final int W = Lanes.COUNT;
  private static final long L = Lanes.BYTES;

  private GemmKernel7x3() {}

  static void tile(
      float[] a,
      int aStart,
      float[] b,
      int bStart,
      int depth,
      float alpha,
      MemorySegment c,
      long cOffset,
      long cStride) {
    FloatVector s00 = FloatVector.zero(Lanes.F);
    FloatVector s01 = FloatVector.zero(Lanes.F);
    FloatVector s02 = FloatVector.zero(Lanes.F);
    FloatVector s10 = FloatVector.zero(Lanes.F);
    FloatVector s11 = FloatVector.zero(Lanes.F);
    FloatVector s12 = FloatVector.zero(Lanes.F);
    FloatVector s20 = FloatVector.zero(Lanes.F);
    FloatVector s21 = FloatVector.zero(Lanes.F);
    FloatVector s22 = FloatVector.zero(Lanes.F);
    FloatVector s30 = FloatVector.zero(Lanes.F);
    FloatVector s31 = FloatVector.zero(Lanes.F);
    FloatVector s32 = FloatVector.zero(Lanes.F);
    FloatVector s40 = FloatVector.zero(Lanes.F);
    FloatVector s41 = FloatVector.zero(Lanes.F);
    FloatVector s42 = FloatVector.zero(Lanes.F);
    FloatVector s50 = FloatVector.zero(Lanes.F);
    FloatVector s51 = FloatVector.zero(Lanes.F);
    FloatVector s52 = FloatVector.zero(Lanes.F);
    FloatVector s60 = FloatVector.zero(Lanes.F);
    FloatVector s61 = FloatVector.zero(Lanes.F);
    FloatVector s62 = FloatVector.zero(Lanes.F);
    for (int k = 0; k < depth; k++) {
      int ak = aStart + k * 7;
      int bk = bStart + k * (3 * W);
      FloatVector b0 = FloatVector.fromArray(Lanes.F, b, bk);
      FloatVector b1 = FloatVector.fromArray(Lanes.F, b, bk + W);
      FloatVector b2 = FloatVector.fromArray(Lanes.F, b, bk + 2 * W);
      FloatVector a0 = FloatVector.broadcast(Lanes.F, a[ak]);
      s00 = a0.fma(b0, s00);
      s01 = a0.fma(b1, s01);
      s02 = a0.fma(b2, s02);
      FloatVector a1 = FloatVector.broadcast(Lanes.F, a[ak + 1]);
      s10 = a1.fma(b0, s10);
      s11 = a1.fma(b1, s11);
      s12 = a1.fma(b2, s12);
      FloatVector a2 = FloatVector.broadcast(Lanes.F, a[ak + 2]);
      s20 = a2.fma(b0, s20);
      s21 = a2.fma(b1, s21);
      s22 = a2.fma(b2, s22);
      FloatVector a3 = FloatVector.broadcast(Lanes.F, a[ak + 3]);
      s30 = a3.fma(b0, s30);
      s31 = a3.fma(b1, s31);
      s32 = a3.fma(b2, s32);
      FloatVector a4 = FloatVector.broadcast(Lanes.F, a[ak + 4]);
      s40 = a4.fma(b0, s40);
      s41 = a4.fma(b1, s41);
      s42 = a4.fma(b2, s42);
      FloatVector a5 = FloatVector.broadcast(Lanes.F, a[ak + 5]);
      s50 = a5.fma(b0, s50);
      s51 = a5.fma(b1, s51);
      s52 = a5.fma(b2, s52);
      FloatVector a6 = FloatVector.broadcast(Lanes.F, a[ak + 6]);
      s60 = a6.fma(b0, s60);
      s61 = a6.fma(b1, s61);
      s62 = a6.fma(b2, s62);
    }
    FloatVector factor = FloatVector.broadcast(Lanes.F, alpha);
    Lanes.store(factor.fma(s00, Lanes.load(c, cOffset)), c, cOffset);
    Lanes.store(factor.fma(s01, Lanes.load(c, cOffset + L)), c, cOffset + L);
    Lanes.store(factor.fma(s02, Lanes.load(c, cOffset + 2 * L)), c, cOffset + 2 * L);
    Lanes.store(factor.fma(s10, Lanes.load(c, cOffset + cStride)), c, cOffset + cStride);
    Lanes.store(factor.fma(s11, Lanes.load(c, cOffset + cStride + L)), c, cOffset + cStride + L);
    Lanes.store(
        factor.fma(s12, Lanes.load(c, cOffset + cStride + 2 * L)), c, cOffset + cStride + 2 * L);
    Lanes.store(factor.fma(s20, Lanes.load(c, cOffset + 2 * cStride)), c, cOffset + 2 * cStride);
    Lanes.store(
        factor.fma(s21, Lanes.load(c, cOffset + 2 * cStride + L)), c, cOffset + 2 * cStride + L);
    Lanes.store(
        factor.fma(s22, Lanes.load(c, cOffset + 2 * cStride + 2 * L)),
        c,
        cOffset + 2 * cStride + 2 * L);
    Lanes.store(factor.fma(s30, Lanes.load(c, cOffset + 3 * cStride)), c, cOffset + 3 * cStride);
    Lanes.store(
        factor.fma(s31, Lanes.load(c, cOffset + 3 * cStride + L)), c, cOffset + 3 * cStride + L);
    Lanes.store(
        factor.fma(s32, Lanes.load(c, cOffset + 3 * cStride + 2 * L)),
        c,
        cOffset + 3 * cStride + 2 * L);
    Lanes.store(factor.fma(s40, Lanes.load(c, cOffset + 4 * cStride)), c, cOffset + 4 * cStride);
    Lanes.store(
        factor.fma(s41, Lanes.load(c, cOffset + 4 * cStride + L)), c, cOffset + 4 * cStride + L);
    Lanes.store(
        factor.fma(s42, Lanes.load(c, cOffset + 4 * cStride + 2 * L)),
        c,
        cOffset + 4 * cStride + 2 * L);
    Lanes.store(factor.fma(s50, Lanes.load(c, cOffset + 5 * cStride)), c, cOffset + 5 * cStride);
    Lanes.store(
        factor.fma(s51, Lanes.load(c, cOffset + 5 * cStride + L)), c, cOffset + 5 * cStride + L);
    Lanes.store(
        factor.fma(s52, Lanes.load(c, cOffset + 5 * cStride + 2 * L)),
        c,
        cOffset + 5 * cStride + 2 * L);
    Lanes.store(factor.fma(s60, Lanes.load(c, cOffset + 6 * cStride)), c, cOffset + 6 * cStride);
    Lanes.store(
        factor.fma(s61, Lanes.load(c, cOffset + 6 * cStride + L)), c, cOffset + 6 * cStride + L);
    Lanes.store(
        factor.fma(s62, Lanes.load(c, cOffset + 6 * cStride + 2 * L)),
        c,
        cOffset + 6 * cStride + 2 * L);
  }
}
