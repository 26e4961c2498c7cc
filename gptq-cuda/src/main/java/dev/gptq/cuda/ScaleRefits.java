package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.grid.GridSpec;

/** The launch of refit_scales.cu: a warp a row. */
final class ScaleRefits {
  private static final String OPERATION = "refitScales";
  private static final int WARP = 32;

  /** Rows whose elements fill a sector of memory. */
  private static final int MOST_ROWS = 8;

  private final CudaContext context;

  ScaleRefits(CudaContext context) {
    this.context = context;
  }

  void launch(
      CudaTensor normal, CudaTensor gradient, GridSpec spec, CudaTensor scale, CudaTensor change) {
    if (scale.isEmpty()) {
      return;
    }
    long bytes = bytes(scale.columns());
    long inShared = context.device().sharedMemory() / bytes;
    if (inShared > 0) {
      int rows = Math.toIntExact(Math.min(MOST_ROWS, inShared));
      int blocks = Math.ceilDiv(scale.rows(), rows);
      Geometry geometry = geometry(blocks, rows).withShared(Math.toIntExact(rows * bytes));
      launch(normal, gradient, spec, scale, change, 0, geometry);
      return;
    }
    int blocks =
        Math.min(Math.ceilDiv(scale.rows(), MOST_ROWS), context.device().multiprocessors());
    try (Scratch systems = context.memory().scratch(bytes * blocks * MOST_ROWS)) {
      launch(normal, gradient, spec, scale, change, systems.address(), geometry(blocks, MOST_ROWS));
    }
  }

  private static Geometry geometry(int blocks, int rows) {
    return Geometry.of(blocks, WARP).withBlockY(rows);
  }

  private void launch(
      CudaTensor normal,
      CudaTensor gradient,
      GridSpec spec,
      CudaTensor scale,
      CudaTensor change,
      long scratch,
      Geometry geometry) {
    context
        .kernels()
        .arguments()
        .add(normal)
        .add(gradient)
        .add(spec)
        .add(scale)
        .add(change)
        .address(scratch);
    context.kernels().launch(KernelImages.TOLERANT, OPERATION, geometry, OPERATION);
  }

  /** Refit::size in bytes. */
  private static long bytes(long groups) {
    return Double.BYTES * (groups * (groups + 1) / 2 + 2 * groups);
  }
}
