package dev.gptq.simd;

import java.lang.foreign.MemorySegment;

/**
 * The tile that suits the vectors. The compiler tends to load all factors of a step before it
 * multiplies, so rows, columns and their products, the sums, all have to fit the registers: one sum
 * too many and it keeps every one of them in memory, at a third of the speed.
 */
final class GemmKernel {
  // AVX-512 and SVE have 32 vector registers, the narrower sets of x86 have 16.
  private static final boolean WIDE = Lanes.BYTES == 64;

  /** Rows of a tile. */
  static final int ROWS = WIDE ? 7 : 4;

  /** Columns of a tile. */
  static final int COLUMNS = (WIDE ? 3 : 2) * Lanes.COUNT;

  private GemmKernel() {}

  /**
   * {@code C ← C + α·A·B}: A packed depth × ROWS, B packed depth × COLUMNS, C a whole tile with
   * contiguous rows, its offset and stride in bytes. Panels are arrays: accesses to memory segments
   * would be checked in the loop.
   */
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
    if (WIDE) {
      GemmKernel7x3.tile(a, aStart, b, bStart, depth, alpha, c, cOffset, cStride);
    } else {
      GemmKernel4x2.tile(a, aStart, b, bStart, depth, alpha, c, cOffset, cStride);
    }
  }
}
