package dev.gptq.cuda;

import dev.gptq.cuda.CudaMemory.Scratch;
import dev.gptq.cuda.driver.CudaBlas.Element;
import dev.gptq.cuda.driver.CudaBlas.Operand;
import dev.gptq.tensor.DType;

/**
 * Products of float32 matrices on tensor cores, as accurate as in float32. With each factor,
 * multiplied by a power of two, split into two binary16, {@code A = A₁ + A₂} to 22 bits at least
 * and mostly to all 24 (Ootomo and Yokota, IJHPCA 2022),
 *
 * <pre>
 *   A·B = (A₁B₂ + A₂B₁) + A₁B₁
 * </pre>
 *
 * and what is left out, A₂B₂, is below 2⁻²² of A₁B₁ and of either sign. Where the halves of A lie
 * one behind the other and those of B in reverse, the bracket is one product twice as deep. Three
 * passes of tensor cores that are fifteen times as fast as float32 are four times as fast.
 *
 * <p>Errors are relative to the largest elements of A and of B, see halves.cu: a row of A that is
 * 2⁻²⁶ of the largest has 13 bits.
 */
final class SplitProducts {
  /** Multiplications from which on splitting the operands is worth its time. */
  private static final long LEAST_WORK = 1L << 29;

  /** The least of each dimension for the same reason. */
  private static final int LEAST = 128;

  /** cuBLAS wants tensor cores' operands to begin at 16 bytes. */
  static final int UNIT = 8;

  /** Rows and columns of a piece come in multiples of this. */
  private static final int TILE = 256;

  /** Bytes of the halves of one operand that are held at a time. */
  private static final long MOST_BYTES = 1L << 30;

  /**
   * Depth of a piece of A₁B₁. Tensor cores cut off what does not fit into a sum, always towards
   * zero; pieces are added as float32 are, to nearest.
   */
  static final int DEPTH = 2048;

  /**
   * Pieces of the bracket are so many times as deep; much deeper ones get slower kernels of cuBLAS.
   */
  private static final int BRACKET = 8;

  private final CudaContext context;
  private final int depth;

  SplitProducts(CudaContext context) {
    this(context, DEPTH);
  }

  /** With pieces of that depth, a multiple of 8. */
  SplitProducts(CudaContext context, int depth) {
    this.context = context;
    this.depth = depth;
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
    long fitting = MOST_BYTES / (2L * DType.F16.bytes() * a.columns());
    // Pieces of C that do not begin at whole units take cuBLAS three times as long.
    int most = Math.toIntExact(Math.max(TILE, fitting - fitting % TILE));
    try (HalvesScales scales = HalvesScales.ofProduct(context, alpha, a, b, beta, operation)) {
      for (int j = 0; j < c.columns(); j += most) {
        int end = Math.min(c.columns(), j + most);
        try (Scratch right = scratch(b.columns(j, end), false)) {
          Halves halvesB = split(b.columns(j, end), right, scales, false, operation);
          for (int i = 0; i < c.rows(); i += most) {
            int to = Math.min(c.rows(), i + most);
            try (Scratch left = scratch(a.rows(i, to), true)) {
              Halves halvesA = split(a.rows(i, to), left, scales, true, operation);
              multiply(halvesA, halvesB, c.rows(i, to).columns(j, end), a.columns(), scales);
            }
          }
        }
      }
    }
    context.queue().queued(operation);
  }

  private void multiply(Halves a, Halves b, CudaTensor c, int k, HalvesScales scales) {
    Operand sum = new Operand(c.address(), c.stride(), false, Element.F32);
    int m = c.rows();
    int n = c.columns();
    long alpha = scales.alpha();
    for (int at = 0; at < 2 * k; at += BRACKET * depth) {
      int piece = Math.min(BRACKET * depth, 2 * k - at);
      long beta = at == 0 ? scales.beta() : scales.one();
      context
          .blas()
          .gemmOfDeviceScalars(m, n, piece, alpha, a.from(0, at), b.from(0, at), beta, sum);
    }
    for (int at = 0; at < k; at += depth) {
      int piece = Math.min(depth, k - at);
      context
          .blas()
          .gemmOfDeviceScalars(m, n, piece, alpha, a.from(0, at), b.from(1, at), scales.one(), sum);
    }
  }

  /**
   * The halves of an operand, one behind the other along the depth: those of A the larger first,
   * those of B the smaller.
   *
   * @param stride elements from one contiguous run to the next
   * @param step elements from one half to the next
   * @param alongDepth whether runs are
   */
  private record Halves(
      long address, long stride, long step, boolean alongDepth, boolean transposed) {
    /** From a half on, and there from a depth on. */
    Operand from(int half, int depth) {
      long elements = half * step + depth * (alongDepth ? 1 : stride);
      return new Operand(address + DType.F16.bytes() * elements, stride, transposed, Element.F16);
    }
  }

  private Scratch scratch(CudaTensor t, boolean left) {
    CudaTensor runs = t.isRowMajor() ? t : t.transposed();
    boolean alongDepth = t.isRowMajor() == left;
    long elements = runs.rows() * stride(runs.columns(), alongDepth);
    return context.memory().scratch(DType.F16.bytes() * elements * (alongDepth ? 1 : 2));
  }

  /** Runs along the depth hold both halves, others are padded to whole units. */
  private static long stride(int length, boolean alongDepth) {
    return alongDepth ? 2L * length : Math.ceilDiv(length, UNIT) * (long) UNIT;
  }

  private Halves split(
      CudaTensor t, Scratch target, HalvesScales scales, boolean left, String operation) {
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
        .address(scales.address())
        .add(left ? 0 : 1);
    context
        .kernels()
        .launch(KernelImages.TOLERANT, "splitHalves", Elementwise.over(runs), operation);
    return new Halves(target.address(), stride, step, alongDepth, t.isRowMajor());
  }
}
