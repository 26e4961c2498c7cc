package dev.gptq.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.cuda.CudaMemory.Scratch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * {@code LᵀL = H} by cuSOLVER, large ones by {@link BlockCholesky}, in place: with J the reversal
 * of the order, {@code J·Lᵀ·J} is the usual factor of JHJ. Of a matrix with contiguous rows JHJ is
 * all elements in reverse, and the lower triangle of H comes to lie where cuSOLVER, which has
 * contiguous columns, looks for it.
 */
final class Cholesky {
  private static final String OPERATION = "cholesky";
  private static final int PIVOT_THREADS = 1024;

  /** Columns from which on blocks are faster than cuSOLVER alone. */
  private static final int LEAST_IN_BLOCKS = 8192;

  private static final int BLOCK = 1024;
  private static final int PIECE = 512;
  private static final int STRIP = 1024;

  private final CudaContext context;
  private final Kernels kernels;
  private final BlockCholesky blocks;
  private final int leastInBlocks;

  Cholesky(CudaContext context) {
    this(context, new BlockCholesky(context, BLOCK, PIECE, STRIP), LEAST_IN_BLOCKS);
  }

  /** With blocks for matrices of so many columns or more. */
  Cholesky(CudaContext context, BlockCholesky blocks, int leastInBlocks) {
    this.context = context;
    this.kernels = context.kernels();
    this.blocks = blocks;
    this.leastInBlocks = leastInBlocks;
  }

  void compute(CudaTensor h) {
    if (h.isEmpty()) {
      return;
    }
    reverse(h);
    int minor = factor(h);
    if (minor != 0) {
      throw new NotPositiveDefiniteException(minor);
    }
    reverse(h);
  }

  private void reverse(CudaTensor h) {
    kernels.arguments().add(h);
    int rows = Math.ceilDiv(h.rows(), 2);
    int runs = Math.ceilDiv(h.columns(), Elementwise.COLUMNS);
    kernels.launch(
        KernelImages.TOLERANT,
        "reverseBoth",
        Geometry.of(rows, runs, Elementwise.THREADS),
        OPERATION);
  }

  /** Returns 0, or the order of the first minor that is not positive definite. */
  private int factor(CudaTensor h) {
    CudaQueue queue = context.queue();
    CudaTensor a = h.transposed();
    boolean inBlocks = h.rows() >= leastInBlocks && context.device().hasFastTensorCores();
    int block = inBlocks ? blocks.block() : h.rows();
    long bytes = (long) Integer.BYTES * Math.ceilDiv(h.rows(), block);
    try (Scratch minors = context.memory().scratch(bytes);
        Arena arena = Arena.ofConfined()) {
      queue.driver().zero(minors.address(), bytes, queue.stream());
      if (inBlocks) {
        blocks.compute(a, minors.address());
      } else {
        BlockCholesky.factor(context, a, minors.address());
      }
      kernels.arguments().add(a).add(block).address(minors.address());
      kernels.launch(
          KernelImages.TOLERANT, "checkPivots", Geometry.of(1, PIVOT_THREADS), OPERATION);
      MemorySegment minor = arena.allocate(JAVA_INT);
      context.staging().download(minors.address(), Integer.BYTES, Integer.BYTES, 1, minor);
      return minor.get(JAVA_INT, 0);
    }
  }
}
