package dev.gptq.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.gptq.backend.NotPositiveDefiniteException;
import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaBlas.Element;
import dev.gptq.cuda.driver.CudaBlas.Operand;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * {@code U = J·L⁻¹·J} with {@code JHJ = LLᵀ}: cuSOLVER's Cholesky, then L⁻¹ by halves. With the
 * diagonal blocks of L inverted, neighbours of size s join to inverses of size 2s:
 *
 * <pre>
 *   [ A 0 ]⁻¹   [     A⁻¹      0  ]
 *   [ B C ]   = [ −C⁻¹·B·A⁻¹  C⁻¹ ]
 * </pre>
 *
 * all pairs of one size in two batched products. This takes a third of the operations of a
 * triangular solve with the identity and keeps to large products.
 */
final class InverseCholesky {
  private static final String OPERATION = "inverseCholeskyUpper";

  /** INVERSE_BLOCK of triangular.cu. */
  private static final int DIAGONAL_BLOCK = 64;

  private static final int TILE = 32;
  private static final int THREADS = 256;

  /** From this size on the zeros of the triangular factors are left out of the products. */
  private static final int SPLIT_FROM = 1024;

  private static final int PARTS = 4;

  private final CudaContext context;

  InverseCholesky(CudaContext context) {
    this.context = context;
  }

  void compute(CudaTensor h, CudaTensor u) {
    int n = h.rows();
    if (n == 0) {
      return;
    }
    try (Scratch l = context.memory().scratch(4L * n * n)) {
      Kernels kernels = context.kernels();
      kernels.arguments().add(h).address(l.address());
      kernels.launch(
          KernelImages.TOLERANT, "reverseLower", Geometry.of(n, spread(n), THREADS), OPERATION);
      factor(n, l.address());
      invert(n, l.address());
      kernels.arguments().address(l.address()).add(u);
      kernels.launch(
          KernelImages.TOLERANT, "reverseToUpper", Geometry.tiles(n, n, TILE, 8), OPERATION);
    }
  }

  private static int spread(int n) {
    return Math.ceilDiv(n, 4 * THREADS);
  }

  private void factor(int n, long l) {
    CudaQueue queue = context.queue();
    int elements = context.solver().choleskyWorkspace(n, l, n);
    try (Scratch workspace = context.memory().scratch(4L * elements);
        Scratch info = context.memory().scratch(Integer.BYTES);
        Arena arena = Arena.ofConfined()) {
      queue.driver().zero(info.address(), Integer.BYTES, queue.stream());
      context.solver().cholesky(n, l, n, workspace.address(), elements, info.address());
      context.kernels().arguments().address(l).add(n).address(info.address());
      context
          .kernels()
          .launch(KernelImages.TOLERANT, "checkPivots", Geometry.of(1, 1024), OPERATION);
      MemorySegment minor = arena.allocate(JAVA_INT);
      context.staging().download(info.address(), Integer.BYTES, Integer.BYTES, 1, minor);
      if (minor.get(JAVA_INT, 0) != 0) {
        throw new NotPositiveDefiniteException(minor.get(JAVA_INT, 0));
      }
    }
  }

  private void invert(int n, long l) {
    context.kernels().arguments().address(l).add(n);
    context
        .kernels()
        .launch(
            KernelImages.TOLERANT,
            "invertDiagonalBlocks",
            Geometry.of(Math.ceilDiv(n, DIAGONAL_BLOCK), DIAGONAL_BLOCK),
            OPERATION);
    for (int size = DIAGONAL_BLOCK; size < n; size *= 2) {
      int pairs = n / (2 * size);
      int rest = n - pairs * 2 * size - size;
      if (pairs > 0) {
        join(n, l, size, size, pairs);
      }
      if (rest > 0) {
        join(n, l + 4L * pairs * 2 * size * (n + 1L), size, rest, 1);
      }
    }
    context.queue().queued(OPERATION);
  }

  /** Joins {@code pairs} pairs of inverses of {@code size} and {@code rest} rows. */
  private void join(int n, long l, int size, int rest, int pairs) {
    long step = 2L * size * (n + 1L);
    long product = (long) rest * size;
    try (Scratch t = context.memory().scratch(4L * pairs * product)) {
      CudaBlas blas = context.blas();
      int parts = size >= SPLIT_FROM ? PARTS : 1;
      for (int part = 0; part < parts; part++) {
        // T = B·A⁻¹; column j of A⁻¹ is zero above row j.
        int from = part * (size / parts);
        int width = size / parts;
        blas.gemmBatch(
            rest,
            width,
            size - from,
            1,
            matrix(l + 4L * (size + (long) from * n), n),
            step,
            matrix(l + 4L * (from + (long) from * n), n),
            step,
            0,
            matrix(t.address() + 4L * from * rest, rest),
            product,
            pairs);
      }
      for (int part = 0; part < parts; part++) {
        // B ← −C⁻¹·T; row i of C⁻¹ is zero right of column i.
        int from = Math.toIntExact((long) part * rest / parts);
        int to = Math.toIntExact((part + 1L) * rest / parts);
        if (to > from) {
          blas.gemmBatch(
              to - from,
              size,
              to,
              -1,
              matrix(l + 4L * (size + from + (long) size * n), n),
              step,
              matrix(t.address(), rest),
              product,
              0,
              matrix(l + 4L * (size + from), n),
              step,
              pairs);
        }
      }
    }
  }

  private static Operand matrix(long address, int stride) {
    return new Operand(address, stride, false, Element.F32);
  }
}
