package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;

/**
 * Sums over tensors, by the kernels of sums.cu: each block of threads sums a part, and the parts
 * are summed in the order of the blocks.
 */
final class Sums {
  /** SUM_RUN of sums.cu. */
  private static final int RUN = 4096;

  private static final int BLOCKS_A_PROCESSOR = 4;

  private final CudaContext context;

  Sums(CudaContext context) {
    this.context = context;
  }

  /** Adds what the kernel of that name sums up over x to total, 1 × 1 of F64. */
  void add(String kernel, CudaTensor x, CudaTensor total, String operation) {
    CudaTensor runs = alongRows(x);
    add(kernel, context.kernels().arguments().add(runs), runs, total, operation);
  }

  /** The same over two tensors of the same shape and layout. */
  void add(String kernel, CudaTensor x, CudaTensor y, CudaTensor total, String operation) {
    CudaTensor runs = alongRows(x);
    add(kernel, context.kernels().arguments().add(runs).add(alongRows(y)), runs, total, operation);
  }

  private void add(
      String kernel, LaunchArguments arguments, CudaTensor x, CudaTensor total, String operation) {
    if (x.isEmpty()) {
      return;
    }
    long items = (long) x.rows() * Math.ceilDiv(x.columns(), RUN);
    int blocks =
        Math.toIntExact(
            Math.min(items, (long) BLOCKS_A_PROCESSOR * context.device().multiprocessors()));
    try (Scratch partial = context.memory().scratch(8L * blocks)) {
      arguments.address(partial.address());
      launch(kernel, Geometry.of(blocks, Elementwise.THREADS), operation);
      context.kernels().arguments().address(partial.address()).add(blocks).add(total);
      launch("addPartialSums", Geometry.of(1, Elementwise.THREADS), operation);
    }
  }

  private void launch(String kernel, Geometry geometry, String operation) {
    context.kernels().launch(KernelImages.TOLERANT, kernel, geometry, operation);
  }

  private static CudaTensor alongRows(CudaTensor t) {
    return t.isRowMajor() ? t : t.transposed();
  }
}
