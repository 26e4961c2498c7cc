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
 * <p>Errors are relative to the largest elements of A and of B, see halves.cuh: a row of A that is
 * 2⁻²⁶ of the largest has 13 bits.
 */
final class SplitProducts {
  /** Multiplications from which on splitting the operands is worth its time. */
  private static final long LEAST_WORK = 1L << 29;

  /** The least of each dimension for the same reason. */
  private static final int LEAST = 128;

  /** Rows and columns of a piece come in multiples of this. */
  private static final int TILE = 256;

  /** Bytes of the halves of one operand that are held at a time. */
  static final long MOST_BYTES = 1L << 30;

  /**
   * Depth of a piece of A₁B₁. Tensor cores cut off what does not fit into a sum, always towards
   * zero; pieces are added as float32 are, to nearest.
   */
  static final int DEPTH = 2048;

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
        && k % Halves.UNIT == 0
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
        CudaTensor partB = b.columns(j, end);
        try (Scratch right = scratch(partB, false)) {
          Halves halvesB = Halves.at(right.address(), partB, false);
          split(partB, halvesB, scales.ofB(), operation);
          for (int i = 0; i < c.rows(); i += most) {
            int to = Math.min(c.rows(), i + most);
            CudaTensor partA = a.rows(i, to);
            try (Scratch left = scratch(partA, true)) {
              Halves halvesA = Halves.at(left.address(), partA, true);
              split(partA, halvesA, scales.ofA(), operation);
              multiply(halvesA, halvesB, c.rows(i, to).columns(j, end), a.columns(), scales);
            }
          }
        }
      }
    }
    context.queue().queued(operation);
  }

  /** Room for the halves of a factor. */
  Scratch scratch(CudaTensor t, boolean left) {
    return context.memory().scratch(Halves.bytes(t, left));
  }

  /** Splits a factor, or the first of its depth. */
  void split(CudaTensor t, Halves halves, HalvesScales.Factor factor, String operation) {
    CudaTensor runs = t.isRowMajor() ? t : t.transposed();
    context
        .kernels()
        .arguments()
        .add(runs)
        .address(halves.address())
        .address(halves.stride())
        .address(halves.step())
        .address(factor.scales().address())
        .add(factor.number())
        .add(factor.power());
    context
        .kernels()
        .launch(KernelImages.TOLERANT, "splitHalves", Elementwise.over(runs), operation);
  }

  /** {@code C ← α·A·B + β·C}, of all of the depth k. */
  private void multiply(Halves a, Halves b, CudaTensor c, int k, HalvesScales scales) {
    // What lies behind the first halves are the second ones.
    product(a.first(), b.first(), c, 2 * k, scales, scales.beta());
    multiplyLarger(a, b, c, k, scales);
  }

  /** The same of the first k of a larger depth. */
  void multiplyFirst(Halves a, Halves b, CudaTensor c, int k, HalvesScales scales) {
    product(a.first(), b.first(), c, k, scales, scales.beta());
    product(a.second(), b.second(), c, k, scales, scales.one());
    multiplyLarger(a, b, c, k, scales);
  }

  private void multiplyLarger(Halves a, Halves b, CudaTensor c, int k, HalvesScales scales) {
    for (int at = 0; at < k; at += depth) {
      int piece = Math.min(depth, k - at);
      product(a.from(at).first(), b.from(at).second(), c, piece, scales, scales.one());
    }
  }

  private void product(Operand a, Operand b, CudaTensor c, int k, HalvesScales scales, long beta) {
    Operand sum = new Operand(c.address(), c.stride(), false, Element.F32);
    context.blas().gemmOfDeviceScalars(c.rows(), c.columns(), k, scales.alpha(), a, b, beta, sum);
  }
}
