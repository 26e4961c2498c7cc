package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.cuda.driver.CudaBlas.Element;
import dev.gptq.cuda.driver.CudaBlas.Operand;

/**
 * Inverses of the diagonal blocks of an upper triangular V. Blocks of {@value #DIAGONAL} columns
 * are inverted by a kernel; neighbours of size s then join to inverses of size 2s,
 *
 * <pre>
 *   [ A 0 ]⁻¹   [     A⁻¹      0  ]
 *   [ B C ]   = [ −C⁻¹·B·A⁻¹  C⁻¹ ]
 * </pre>
 *
 * in two batched products over all blocks. As cuBLAS has it, with contiguous columns, the matrices
 * are Vᵀ and Uᵀ and so lower triangles.
 */
final class TriangularInverse {
  private static final String OPERATION = "invertDiagonalBlocks";

  /** INVERSE_BLOCK of triangular.cu. */
  private static final int DIAGONAL = 64;

  private final CudaContext context;

  TriangularInverse(CudaContext context) {
    this.context = context;
  }

  void compute(CudaTensor v, CudaTensor u) {
    if (v.isEmpty()) {
      return;
    }
    int n = v.rows();
    int width = u.columns();
    context.kernels().arguments().add(v).add(u);
    context
        .kernels()
        .launch(
            KernelImages.TOLERANT,
            OPERATION,
            Geometry.of((long) Math.ceilDiv(n, width) * Math.ceilDiv(width, DIAGONAL), DIAGONAL),
            OPERATION);
    int whole = n / width;
    int rest = n % width;
    join(v, u, width, whole);
    if (rest > 0) {
      int from = whole * width;
      join(v.rows(from, n).columns(from, n), u.rows(from, n), rest, 1);
    }
    context.queue().queued(OPERATION);
  }

  /**
   * Joins what the kernel inverted inside {@code count} blocks of {@code width} columns: the same
   * pairs of all blocks, or all pairs of a block, side by side.
   */
  private void join(CudaTensor v, CudaTensor u, int width, int count) {
    for (int size = DIAGONAL; size < width; size *= 2) {
      int alike = count == 1 ? width / (2 * size) : 0;
      if (alike > 0) {
        long step = 2L * size;
        join(
            v, u, new Pair(0, size, size), step * (v.stride() + 1), step * (u.stride() + 1), alike);
      }
      for (int at = alike * 2 * size; at + size < width; at += 2 * size) {
        Pair pair = new Pair(at, size, Math.min(size, width - at - size));
        join(v, u, pair, width * (v.stride() + 1), width * u.stride(), count);
      }
    }
  }

  /** Neighbours inside a block: {@code size} columns from {@code at} on, then {@code rest}. */
  private record Pair(int at, int size, int rest) {
    int second() {
      return at + size;
    }
  }

  private void join(CudaTensor v, CudaTensor u, Pair pair, long stepV, long stepU, int count) {
    long product = (long) pair.rest() * pair.size();
    try (Scratch t = context.memory().scratch(Float.BYTES * product * count)) {
      Operand b =
          new Operand(
              v.rows(pair.at(), v.rows()).columns(pair.second(), v.columns()).address(),
              v.stride(),
              !v.isRowMajor(),
              Element.F32);
      Operand joined = dense(t.address(), pair.rest());
      context
          .blas()
          .gemmBatch(
              pair.rest(),
              pair.size(),
              pair.size(),
              1,
              b,
              stepV,
              element(u, pair.at(), pair.at()),
              stepU,
              0,
              joined,
              product,
              count);
      context
          .blas()
          .gemmBatch(
              pair.rest(),
              pair.size(),
              pair.rest(),
              -1,
              element(u, pair.second(), pair.second()),
              stepU,
              joined,
              product,
              0,
              element(u, pair.at(), pair.second()),
              stepU,
              count);
    }
  }

  /** Uᵀ from an element of U on. */
  private static Operand element(CudaTensor u, int row, int column) {
    return dense(u.rows(row, u.rows()).columns(column, u.columns()).address(), u.stride());
  }

  private static Operand dense(long address, long stride) {
    return new Operand(address, stride, false, Element.F32);
  }
}
