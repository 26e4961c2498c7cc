package dev.gptq.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.cuda.CudaMemory.Scratch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * {@code LᵀL = H} by cuSOLVER, in place: with J the reversal of the order, {@code J·Lᵀ·J} is the
 * usual factor of JHJ. Of a matrix with contiguous rows JHJ is all elements in reverse, and the
 * lower triangle of H comes to lie where cuSOLVER, which has contiguous columns, looks for it.
 */
final class Cholesky {
  private static final String OPERATION = "cholesky";
  private static final int PIVOT_THREADS = 1024;

  private final CudaContext context;
  private final Kernels kernels;

  Cholesky(CudaContext context) {
    this.context = context;
    this.kernels = context.kernels();
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
    int n = h.rows();
    long bytes = context.solver().choleskyWorkspace(n, h.address(), h.stride());
    try (Scratch workspace = context.memory().scratch(bytes);
        Scratch info = context.memory().scratch(Integer.BYTES);
        Arena arena = Arena.ofConfined()) {
      queue.driver().zero(info.address(), Integer.BYTES, queue.stream());
      context
          .solver()
          .cholesky(n, h.address(), h.stride(), workspace.address(), bytes, info.address());
      kernels.arguments().add(h).address(info.address());
      kernels.launch(
          KernelImages.TOLERANT, "checkPivots", Geometry.of(1, PIVOT_THREADS), OPERATION);
      MemorySegment minor = arena.allocate(JAVA_INT);
      context.staging().download(info.address(), Integer.BYTES, Integer.BYTES, 1, minor);
      return minor.get(JAVA_INT, 0);
    }
  }
}
