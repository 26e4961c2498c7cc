package dev.gptq.simd;

import java.lang.foreign.MemorySegment;

/** The tile that suits the vectors: as many sums as the registers of the machine hold. */
final class GemmKernel {
  // AVX-512 and SVE have 32 vector registers, the narrower sets of x86 have 16.
  private static final boolean WIDE = Lanes.BYTES == 64;

  /** Rows of a tile. */
  static final int ROWS = WIDE ? 12 : 6;

  /** Columns of a tile. */
  static final int COLUMNS = 2 * Lanes.COUNT;

  private GemmKernel() {}

  /**
   * {@code C ← C + α·A·B}: A packed depth × ROWS, B packed depth × COLUMNS, C a whole tile with
   * contiguous rows. Offsets and the stride are in bytes.
   */
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
    if (WIDE) {
      GemmKernel12x2.tile(a, aOffset, b, bOffset, depth, alpha, c, cOffset, cStride);
    } else {
      GemmKernel6x2.tile(a, aOffset, b, bOffset, depth, alpha, c, cOffset, cStride);
    }
  }
}
