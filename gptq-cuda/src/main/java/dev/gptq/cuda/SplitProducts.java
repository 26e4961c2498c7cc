package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.cuda.driver.CudaBlas.Element;
import dev.gptq.cuda.driver.CudaBlas.Operand;
import dev.gptq.tensor.DType;

/**
 * Products of float32 matrices on tensor cores, as accurate as in float32. With each factor split
 * into three bfloat16, {@code A = A₁ + A₂ + A₃} to all 24 bits,
 *
 * <pre>
 *   A·B = (A₁B₃ + A₂B₂ + A₃B₁) + (A₁B₂ + A₂B₁) + A₁B₁
 * </pre>
 *
 * and what is left out is below 2⁻²⁴ of A₁B₁. Where the parts of A lie one behind the other and
 * those of B in reverse, each bracket is one product, three, two and one times as deep. Six passes
 * of tensor cores that are fifteen times as fast as float32 are twice as fast. With two parts,
 * {@code (A₁B₂ + A₂B₁) + A₁B₁}, three passes keep 16 bits of each factor.
 */
final class SplitProducts {
  /** Multiplications from which on splitting the operands is worth its time. */
  private static final long LEAST_WORK = 1L << 29;

  /** The least of each dimension for the same reason. */
  private static final int LEAST = 128;

  /** cuBLAS wants tensor cores' operands to begin at 16 bytes. */
  private static final int UNIT = 8;

  /** Parts of an operand that keep all bits. */
  static final int ALL = 3;

  /** Rows and columns of a piece come in multiples of this. */
  private static final int TILE = 256;

  /** Bytes of the parts of one operand that are held at a time. */
  private static final long MOST_BYTES = 1L << 30;

  private final CudaContext context;
  private final int parts;

  /** Products of that many parts, two or {@link #ALL}. */
  SplitProducts(CudaContext context, int parts) {
    this.context = context;
    this.parts = parts;
  }

  /** Whether this way serves a product, and is faster on this device. */
  boolean serves(CudaTensor a, CudaTensor b, CudaTensor c) {
    int k = a.columns();
    return a.type() == DType.F32
        && b.type() == DType.F32
        && c.type() == DType.F32
        && context.device().hasFastTensorCores()
        && Math.min(k, Math.min(c.rows(), c.columns())) >= LEAST
        && k % UNIT == 0
        && (long) c.rows() * c.columns() * k >= LEAST_WORK;
  }

  /** {@code C ← α·A·B + β·C}; C has contiguous columns, the depth is a multiple of 8. */
  void gemm(float alpha, CudaTensor a, CudaTensor b, float beta, CudaTensor c, String operation) {
    int k = a.columns();
    long fitting = MOST_BYTES / ((long) parts * DType.BF16.bytes() * k);
    // Pieces of C that do not begin at whole units take cuBLAS three times as long.
    int most = Math.toIntExact(Math.max(TILE, fitting - fitting % TILE));
    for (int j = 0; j < c.columns(); j += most) {
      int end = Math.min(c.columns(), j + most);
      try (Scratch right = scratch(b.columns(j, end), false)) {
        Parts partsB = split(b.columns(j, end), right, false, operation);
        for (int i = 0; i < c.rows(); i += most) {
          int to = Math.min(c.rows(), i + most);
          try (Scratch left = scratch(a.rows(i, to), true)) {
            Parts partsA = split(a.rows(i, to), left, true, operation);
            multiply(alpha, partsA, partsB, beta, c.rows(i, to).columns(j, end), k);
          }
        }
      }
    }
    context.queue().queued(operation);
  }

  private void multiply(float alpha, Parts a, Parts b, float beta, CudaTensor c, int k) {
    Operand sum = new Operand(c.address(), c.stride(), false, Element.F32);
    for (int depth = parts; depth > 0; depth--) {
      context
          .blas()
          .gemm(
              c.rows(),
              c.columns(),
              depth * k,
              alpha,
              a.from(0),
              b.from(parts - depth),
              depth == parts ? beta : 1,
              sum);
    }
  }

  /**
   * The parts of an operand, one behind the other along the depth.
   *
   * @param stride elements from one contiguous run to the next
   * @param step elements from one part to the next
   */
  private record Parts(long address, long stride, long step, boolean transposed) {
    Operand from(int part) {
      long start = address + (long) DType.BF16.bytes() * part * step;
      return new Operand(start, stride, transposed, Element.BF16);
    }
  }

  private Scratch scratch(CudaTensor t, boolean left) {
    CudaTensor runs = t.isRowMajor() ? t : t.transposed();
    long elements = runs.rows() * stride(runs.columns(), t.isRowMajor() == left);
    int stacked = t.isRowMajor() == left ? 1 : parts;
    return context.memory().scratch(DType.BF16.bytes() * elements * stacked);
  }

  /** Runs along the depth hold all parts, others are padded to whole units. */
  private long stride(int length, boolean alongDepth) {
    return alongDepth ? (long) parts * length : Math.ceilDiv(length, UNIT) * (long) UNIT;
  }

  private Parts split(CudaTensor t, Scratch target, boolean left, String operation) {
    CudaTensor runs = t.isRowMajor() ? t : t.transposed();
    boolean alongDepth = t.isRowMajor() == left;
    long stride = stride(runs.columns(), alongDepth);
    long step = alongDepth ? runs.columns() : runs.rows() * stride;
    context
        .kernels()
        .arguments()
        .add(runs)
        .address(target.address())
        .address(stride)
        .address(step)
        .add(parts)
        .add(left ? 0 : 1);
    context
        .kernels()
        .launch(KernelImages.TOLERANT, "splitParts", Elementwise.over(runs), operation);
    return new Parts(target.address(), stride, step, t.isRowMajor());
  }
}
