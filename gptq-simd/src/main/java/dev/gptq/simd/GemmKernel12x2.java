package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The innermost product of {@link Gemm}: {@code C ← C + α·A·B} for a tile of 12 rows and 2 vectors
 * of columns, 24 sums held in registers (27 of 32 registers). A is packed {@code depth × 12}, B
 * {@code depth × 2 vectors}.
 */
final class GemmKernel12x2 {
  private static final long L = Lanes.BYTES;

  private GemmKernel12x2() {}

  static void tile(
      MemorySegment a,
      long aOffset,
      MemorySegment b,
      long bOffset,
      int depth,
      float alpha,
      MemorySegment c,
      long cOffset,
      long cStride) {
    FloatVector s00 = FloatVector.zero(Lanes.F);
    FloatVector s01 = s00;
    FloatVector s10 = FloatVector.zero(Lanes.F);
    FloatVector s11 = s10;
    FloatVector s20 = FloatVector.zero(Lanes.F);
    FloatVector s21 = s20;
    FloatVector s30 = FloatVector.zero(Lanes.F);
    FloatVector s31 = s30;
    FloatVector s40 = FloatVector.zero(Lanes.F);
    FloatVector s41 = s40;
    FloatVector s50 = FloatVector.zero(Lanes.F);
    FloatVector s51 = s50;
    FloatVector s60 = FloatVector.zero(Lanes.F);
    FloatVector s61 = s60;
    FloatVector s70 = FloatVector.zero(Lanes.F);
    FloatVector s71 = s70;
    FloatVector s80 = FloatVector.zero(Lanes.F);
    FloatVector s81 = s80;
    FloatVector s90 = FloatVector.zero(Lanes.F);
    FloatVector s91 = s90;
    FloatVector s100 = FloatVector.zero(Lanes.F);
    FloatVector s101 = s100;
    FloatVector s110 = FloatVector.zero(Lanes.F);
    FloatVector s111 = s110;
    for (int k = 0; k < depth; k++) {
      long ak = aOffset + k * 48L;
      long bk = bOffset + k * (2 * L);
      FloatVector b0 = Lanes.load(b, bk);
      FloatVector b1 = Lanes.load(b, bk + L);
      FloatVector a0 = Lanes.broadcast(a, ak);
      s00 = a0.fma(b0, s00);
      s01 = a0.fma(b1, s01);
      FloatVector a1 = Lanes.broadcast(a, ak + 4);
      s10 = a1.fma(b0, s10);
      s11 = a1.fma(b1, s11);
      FloatVector a2 = Lanes.broadcast(a, ak + 8);
      s20 = a2.fma(b0, s20);
      s21 = a2.fma(b1, s21);
      FloatVector a3 = Lanes.broadcast(a, ak + 12);
      s30 = a3.fma(b0, s30);
      s31 = a3.fma(b1, s31);
      FloatVector a4 = Lanes.broadcast(a, ak + 16);
      s40 = a4.fma(b0, s40);
      s41 = a4.fma(b1, s41);
      FloatVector a5 = Lanes.broadcast(a, ak + 20);
      s50 = a5.fma(b0, s50);
      s51 = a5.fma(b1, s51);
      FloatVector a6 = Lanes.broadcast(a, ak + 24);
      s60 = a6.fma(b0, s60);
      s61 = a6.fma(b1, s61);
      FloatVector a7 = Lanes.broadcast(a, ak + 28);
      s70 = a7.fma(b0, s70);
      s71 = a7.fma(b1, s71);
      FloatVector a8 = Lanes.broadcast(a, ak + 32);
      s80 = a8.fma(b0, s80);
      s81 = a8.fma(b1, s81);
      FloatVector a9 = Lanes.broadcast(a, ak + 36);
      s90 = a9.fma(b0, s90);
      s91 = a9.fma(b1, s91);
      FloatVector a10 = Lanes.broadcast(a, ak + 40);
      s100 = a10.fma(b0, s100);
      s101 = a10.fma(b1, s101);
      FloatVector a11 = Lanes.broadcast(a, ak + 44);
      s110 = a11.fma(b0, s110);
      s111 = a11.fma(b1, s111);
    }
    FloatVector factor = FloatVector.broadcast(Lanes.F, alpha);
    Lanes.store(factor.fma(s00, Lanes.load(c, cOffset)), c, cOffset);
    Lanes.store(factor.fma(s01, Lanes.load(c, cOffset + L)), c, cOffset + L);
    Lanes.store(factor.fma(s10, Lanes.load(c, cOffset + cStride)), c, cOffset + cStride);
    Lanes.store(factor.fma(s11, Lanes.load(c, cOffset + cStride + L)), c, cOffset + cStride + L);
    Lanes.store(factor.fma(s20, Lanes.load(c, cOffset + 2 * cStride)), c, cOffset + 2 * cStride);
    Lanes.store(
        factor.fma(s21, Lanes.load(c, cOffset + 2 * cStride + L)), c, cOffset + 2 * cStride + L);
    Lanes.store(factor.fma(s30, Lanes.load(c, cOffset + 3 * cStride)), c, cOffset + 3 * cStride);
    Lanes.store(
        factor.fma(s31, Lanes.load(c, cOffset + 3 * cStride + L)), c, cOffset + 3 * cStride + L);
    Lanes.store(factor.fma(s40, Lanes.load(c, cOffset + 4 * cStride)), c, cOffset + 4 * cStride);
    Lanes.store(
        factor.fma(s41, Lanes.load(c, cOffset + 4 * cStride + L)), c, cOffset + 4 * cStride + L);
    Lanes.store(factor.fma(s50, Lanes.load(c, cOffset + 5 * cStride)), c, cOffset + 5 * cStride);
    Lanes.store(
        factor.fma(s51, Lanes.load(c, cOffset + 5 * cStride + L)), c, cOffset + 5 * cStride + L);
    Lanes.store(factor.fma(s60, Lanes.load(c, cOffset + 6 * cStride)), c, cOffset + 6 * cStride);
    Lanes.store(
        factor.fma(s61, Lanes.load(c, cOffset + 6 * cStride + L)), c, cOffset + 6 * cStride + L);
    Lanes.store(factor.fma(s70, Lanes.load(c, cOffset + 7 * cStride)), c, cOffset + 7 * cStride);
    Lanes.store(
        factor.fma(s71, Lanes.load(c, cOffset + 7 * cStride + L)), c, cOffset + 7 * cStride + L);
    Lanes.store(factor.fma(s80, Lanes.load(c, cOffset + 8 * cStride)), c, cOffset + 8 * cStride);
    Lanes.store(
        factor.fma(s81, Lanes.load(c, cOffset + 8 * cStride + L)), c, cOffset + 8 * cStride + L);
    Lanes.store(factor.fma(s90, Lanes.load(c, cOffset + 9 * cStride)), c, cOffset + 9 * cStride);
    Lanes.store(
        factor.fma(s91, Lanes.load(c, cOffset + 9 * cStride + L)), c, cOffset + 9 * cStride + L);
    Lanes.store(factor.fma(s100, Lanes.load(c, cOffset + 10 * cStride)), c, cOffset + 10 * cStride);
    Lanes.store(
        factor.fma(s101, Lanes.load(c, cOffset + 10 * cStride + L)), c, cOffset + 10 * cStride + L);
    Lanes.store(factor.fma(s110, Lanes.load(c, cOffset + 11 * cStride)), c, cOffset + 11 * cStride);
    Lanes.store(
        factor.fma(s111, Lanes.load(c, cOffset + 11 * cStride + L)), c, cOffset + 11 * cStride + L);
  }
}
