package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.grid.GridSpec;

/** The launches of refit_scales.cu: a warp a row, or a block of threads where systems are large. */
final class ScaleRefits {
  private static final String OPERATION = "refitScales";
  private static final String LARGE = "refitLargeScales";
  private static final int WARP = 32;

  /** REFIT_WARPS of refit_scales.cu. */
  private static final int WARPS_OF_LARGE = 8;

  private static final int BLOCKS_A_PROCESSOR = 4;

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
      Geometry geometry =
          Geometry.of(Math.ceilDiv(scale.rows(), rows), WARP)
              .withBlockY(rows)
              .withShared(Math.toIntExact(rows * bytes));
      arguments(normal, gradient, spec, scale, change);
      context.kernels().launch(KernelImages.TOLERANT, OPERATION, geometry, OPERATION);
      return;
    }
    int blocks = Math.min(scale.rows(), BLOCKS_A_PROCESSOR * context.device().multiprocessors());
    try (Scratch systems = context.memory().scratch(bytes * blocks)) {
      arguments(normal, gradient, spec, scale, change).address(systems.address());
      Geometry geometry = Geometry.of(blocks, WARP).withBlockY(WARPS_OF_LARGE);
      context.kernels().launch(KernelImages.TOLERANT, LARGE, geometry, OPERATION);
    }
  }

  private LaunchArguments arguments(
      CudaTensor normal, CudaTensor gradient, GridSpec spec, CudaTensor scale, CudaTensor change) {
    return context.kernels().arguments().add(normal).add(gradient).add(spec).add(scale).add(change);
  }

  /** Refit::size in bytes. */
  private static long bytes(long groups) {
    return Double.BYTES * (groups * (groups + 1) / 2 + 2 * groups);
  }
}
