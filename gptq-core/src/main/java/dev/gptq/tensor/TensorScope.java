package dev.gptq.tensor;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.Supplier;

/**
 * Owns the memory of the tensors allocated in it, in the manner of {@link java.lang.foreign.Arena}:
 * closing the scope frees them all, and any later use of one throws {@link IllegalStateException}.
 * A child is closed no later than its parent.
 */
public interface TensorScope extends AutoCloseable {

  /** A tensor with undefined contents. Throws {@link OutOfMemoryException} if there is no room. */
  Tensor allocate(DType type, int rows, int columns, Layout layout);

  /** A tensor of zeros. */
  Tensor zeros(DType type, int rows, int columns, Layout layout);

  /**
   * A tensor with the elements of {@code host}: dense, in the given layout, little-endian, without
   * any alignment. The segment may be a memory-mapped file and is not referenced afterwards.
   */
  Tensor upload(MemorySegment host, DType type, int rows, int columns, Layout layout);

  /** {@link #upload} of what is computed when it is needed; a rehearsal does not need it. */
  default Tensor upload(
      Supplier<MemorySegment> host, DType type, int rows, int columns, Layout layout) {
    return upload(host.get(), type, rows, columns, layout);
  }

  /** A scope that closes no later than this one. */
  TensorScope child();

  /** Frees all tensors of this scope and of its children. Closing twice has no effect. */
  @Override
  void close();

  /** {@link #allocate} with contiguous rows. */
  default Tensor rowMajor(DType type, int rows, int columns) {
    return allocate(type, rows, columns, Layout.ROW_MAJOR);
  }

  /** {@link #allocate} with contiguous columns. */
  default Tensor columnMajor(DType type, int rows, int columns) {
    return allocate(type, rows, columns, Layout.COLUMN_MAJOR);
  }

  /** Floats that are all the same, with contiguous columns. */
  default Tensor filled(float value, int rows, int columns) {
    float[] values = new float[Math.multiplyExact(rows, columns)];
    Arrays.fill(values, value);
    return upload(MemorySegment.ofArray(values), DType.F32, rows, columns, Layout.COLUMN_MAJOR);
  }

  /** A row vector (1 × n) of floats. */
  default Tensor upload(float... values) {
    return upload(MemorySegment.ofArray(values), DType.F32, 1, values.length, Layout.ROW_MAJOR);
  }

  /** A row vector (1 × n) of integers. */
  default Tensor upload(int... values) {
    return upload(MemorySegment.ofArray(values), DType.I32, 1, values.length, Layout.ROW_MAJOR);
  }
}
