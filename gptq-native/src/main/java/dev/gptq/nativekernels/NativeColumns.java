package dev.gptq.nativekernels;

import dev.gptq.simd.kernels.ColumnKernels;
import dev.gptq.simd.kernels.ForwardKernels.Rows;
import dev.gptq.simd.kernels.ForwardKernels.Shape;
import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/** What GPTQ does with columns, in C, of one level. */
final class NativeColumns implements ColumnKernels {
  // The operations of columns.h.
  private static final int QUANTIZE = 0;
  private static final int SUBTRACT = 1;

  private final KernelLibrary library;
  private final int level;
  private final int rows;

  NativeColumns(KernelLibrary library, int level) {
    this.library = library;
    this.level = level;
    rows = library.columnRows(level);
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public void quantize(
      Rows w, Rows u, Grids grids, int groups, Rows codes, Shape shape, MemorySegment scratch) {
    NativeKernels.require(DType.F32, w, shape.columns(), shape.rows());
    NativeKernels.require(DType.F32, u, shape.columns(), shape.columns());
    NativeKernels.require(DType.F32, new Rows(scratch, rows), shape.columns(), rows);
    require(grids, groups, codes, shape);
    library.columns(level, QUANTIZE, w, u, grids, codes, shape, scratch);
  }

  @Override
  public void subtract(Rows w, Grids grids, int groups, Rows codes, Rows difference, Shape shape) {
    NativeKernels.require(DType.F32, w, shape.columns(), shape.rows());
    NativeKernels.require(DType.F32, difference, shape.columns(), shape.rows());
    require(grids, groups, codes, shape);
    library.columns(level, SUBTRACT, difference, w, grids, codes, shape, MemorySegment.NULL);
  }

  private static void require(Grids grids, int groups, Rows codes, Shape shape) {
    NativeKernels.require(DType.F32, grids.scale(), groups, shape.rows());
    NativeKernels.require(DType.F32, grids.zero(), groups, shape.rows());
    NativeKernels.require(DType.I32, new Rows(grids.groupOf(), 0), 1, shape.columns());
    NativeKernels.require(DType.U8, codes, shape.columns(), shape.rows());
  }
}
