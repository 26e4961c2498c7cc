package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaBlas.Element;
import dev.gptq.cuda.driver.CudaBlas.Operand;
import dev.gptq.tensor.DType;

/**
 * The halves of a factor of {@code A·B}, one behind the other along the depth, which are columns of
 * A and rows of B: those of A the larger first, those of B the smaller.
 *
 * @param address of the first element
 * @param stride elements from one contiguous run to the next
 * @param step elements from one half to the next
 * @param alongDepth whether runs are
 * @param transposed whether cuBLAS, which has contiguous columns, takes it transposed
 */
record Halves(long address, long stride, long step, boolean alongDepth, boolean transposed) {
  /** cuBLAS wants tensor cores' operands to begin at 16 bytes. */
  static final int UNIT = 8;

  /** Those of a matrix, in a block of {@link #bytes}. */
  static Halves at(long address, CudaTensor t, boolean left) {
    CudaTensor runs = t.isRowMajor() ? t : t.transposed();
    boolean alongDepth = t.isRowMajor() == left;
    long stride = stride(runs.columns(), alongDepth);
    long step = alongDepth ? runs.columns() : runs.rows() * stride;
    return new Halves(address, stride, step, alongDepth, t.isRowMajor());
  }

  /** Bytes of both. */
  static long bytes(CudaTensor t, boolean left) {
    CudaTensor runs = t.isRowMajor() ? t : t.transposed();
    boolean alongDepth = t.isRowMajor() == left;
    long elements = runs.rows() * stride(runs.columns(), alongDepth);
    return DType.F16.bytes() * elements * (alongDepth ? 1 : 2);
  }

  /** Runs along the depth hold both halves, others are padded to whole units. */
  private static long stride(int length, boolean alongDepth) {
    return alongDepth ? 2L * length : Math.ceilDiv(length, UNIT) * (long) UNIT;
  }

  /** From a depth on. */
  Halves from(int depth) {
    long elements = depth * (alongDepth ? 1 : stride);
    return new Halves(address + DType.F16.bytes() * elements, stride, step, alongDepth, transposed);
  }

  /** The first half and all that lies behind it. */
  Operand first() {
    return new Operand(address, stride, transposed, Element.F16);
  }

  /** The second half. */
  Operand second() {
    return new Operand(address + DType.F16.bytes() * step, stride, transposed, Element.F16);
  }
}
