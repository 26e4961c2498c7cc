package dev.gptq.nativekernels;

import dev.gptq.simd.kernels.DenseKernels;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/** Products of dense matrices in C, of one level. */
final class NativeDense implements DenseKernels {
  private static final Rows NONE = new Rows(MemorySegment.NULL, 0);

  // The operations of forward.h.
  private static final int PACK_A = 11;
  private static final int PACK_B = 12;
  private static final int TILES = 13;

  private final KernelLibrary library;
  private final int level;
  private final int rows;
  private final int columns;

  NativeDense(KernelLibrary library, int level) {
    this.library = library;
    this.level = level;
    rows = library.denseRows(level);
    columns = library.denseColumns(level);
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public void packA(Rows a, long next, int count, int depth, Rows panels) {
    pack(PACK_A, a, next, count, depth, whole(count, rows), panels);
  }

  @Override
  public void packB(Rows b, long next, int count, int depth, Rows panels) {
    pack(PACK_B, b, next, count, depth, whole(count, columns), panels);
  }

  private void pack(
      int operation, Rows x, long next, int count, int depth, long room, Rows panels) {
    if (x.stride() != 1 && next != 1) {
      throw new IllegalArgumentException("neither rows nor columns are contiguous");
    }
    require(x, (count - 1) * x.stride() + (depth - 1) * next + 1);
    require(panels, room * depth);
    Rows step = new Rows(MemorySegment.NULL, next);
    Shape shape = new Shape(count, depth);
    library.forward(level, operation, x, step, NONE, panels, shape, 0, 0, 0, 0, 0);
  }

  @Override
  public void multiply(
      float alpha,
      Rows panelsA,
      Rows panelsB,
      int count,
      int width,
      int depth,
      float beta,
      Rows c,
      long lower) {
    require(panelsA, whole(count, rows) * depth);
    require(panelsB, whole(width, columns) * depth);
    require(c, (count - 1) * c.stride() + width);
    int bits = Float.floatToRawIntBits(beta);
    Shape shape = new Shape(count, width);
    library.forward(level, TILES, panelsA, panelsB, NONE, c, shape, depth, 0, lower, bits, alpha);
  }

  /** Rows or columns of whole panels. */
  private static long whole(int count, int width) {
    return (count + width - 1L) / width * width;
  }

  private static void require(Rows rows, long numbers) {
    NativeKernels.require(rows.segment(), DType.F32.bytes() * numbers);
  }
}
