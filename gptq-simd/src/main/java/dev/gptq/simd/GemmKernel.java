package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The tile that suits the vectors: as many sums as there are registers, less those for the factors.
 * The sums leave the registers through an array: so many vectors written to a memory segment are
 * more than the compiler inlines, and those that it does not are objects.
 */
final class GemmKernel {
  // AVX-512 and SVE have 32 vector registers, the narrower sets of x86 have 16.
  private static final boolean WIDE = Lanes.BYTES == 64;

  /** Rows of a tile. */
  static final int ROWS = WIDE ? 12 : 4;

  /** Columns of a tile. */
  static final int COLUMNS = 2 * Lanes.COUNT;

  private GemmKernel() {}

  /**
   * {@code sums ← A·B}: A packed depth × ROWS, B packed depth × COLUMNS, the sums row by row from
   * {@code at}. {@link ArrayAlignment} matters for B and the sums, whose vectors are read whole.
   * Panels are arrays: accesses to memory segments would be checked in the loop.
   */
  static void tile(float[] a, int aStart, float[] b, int bStart, int depth, float[] sums, int at) {
    if (WIDE) {
      GemmKernel12x2.tile(a, aStart, b, bStart, depth, sums, at);
    } else {
      GemmKernel4x2.tile(a, aStart, b, bStart, depth, sums, at);
    }
  }

  /**
   * {@code C ← α·sums + β·C} for the part of a tile that lies within C, which begins at a byte; β =
   * 0 clears NaN too.
   */
  static void write(
      float alpha,
      float[] sums,
      int from,
      float beta,
      MemorySegment c,
      long at,
      long stride,
      int rows,
      int columns) {
    for (int i = 0; i < rows; i++) {
      if (beta == 0) {
        replace(alpha, sums, from + i * COLUMNS, c, at + i * stride, columns);
      } else {
        add(alpha, sums, from + i * COLUMNS, beta, c, at + i * stride, columns);
      }
    }
  }

  private static void replace(
      float alpha, float[] sums, int from, MemorySegment c, long row, int columns) {
    int j = 0;
    for (; j < Lanes.F.loopBound(columns); j += Lanes.COUNT) {
      Lanes.store(FloatVector.fromArray(Lanes.F, sums, from + j).mul(alpha), c, row + 4L * j);
    }
    for (; j < columns; j++) {
      c.set(Lanes.FLOAT, row + 4L * j, alpha * sums[from + j]);
    }
  }

  private static void add(
      float alpha, float[] sums, int from, float beta, MemorySegment c, long row, int columns) {
    FloatVector factor = FloatVector.broadcast(Lanes.F, alpha);
    int j = 0;
    for (; j < Lanes.F.loopBound(columns); j += Lanes.COUNT) {
      FloatVector old = Lanes.load(c, row + 4L * j).mul(beta);
      FloatVector sum = FloatVector.fromArray(Lanes.F, sums, from + j);
      Lanes.store(factor.fma(sum, old), c, row + 4L * j);
    }
    for (; j < columns; j++) {
      float old = beta * c.get(Lanes.FLOAT, row + 4L * j);
      c.set(Lanes.FLOAT, row + 4L * j, Math.fma(alpha, sums[from + j], old));
    }
  }
}
