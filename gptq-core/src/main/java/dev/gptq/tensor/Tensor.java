package dev.gptq.tensor;

import java.lang.foreign.MemorySegment;

/**
 * A matrix in a backend's memory: an opaque handle without element access, so that no transfer
 * between host and device hides in an innocent expression. {@link TensorScope#upload} is the way
 * in, {@link #copyTo} the way out.
 *
 * <p>One of the two strides is 1; {@link #layout()} says which. Views share memory and lifetime
 * with the tensor they were taken from. Vectors are matrices of one row or one column.
 */
public interface Tensor {

  /** Element type. */
  DType type();

  /** Number of rows. */
  int rows();

  /** Number of columns. */
  int columns();

  /** Whether rows or columns are contiguous. */
  Layout layout();

  /** Columns {@code from} (inclusive) to {@code to} (exclusive): a view. */
  Tensor columns(int from, int to);

  /** Rows {@code from} (inclusive) to {@code to} (exclusive): a view. */
  Tensor rows(int from, int to);

  /** The transposed matrix: a view with the other layout. */
  Tensor transposed();

  /**
   * The same elements in the same order, row by row, in rows of another length: a view.
   *
   * @throws IllegalArgumentException unless rows are contiguous, one lies right behind the other,
   *     and there are as many elements
   */
  Tensor reshaped(int rows, int columns);

  /**
   * Copies all elements to {@code host}, densely, in this tensor's own layout. Waits for queued
   * work first. {@code host} holds at least {@link #byteSize()} bytes.
   */
  void copyTo(MemorySegment host);

  /** Number of elements. */
  default long elements() {
    return (long) rows() * columns();
  }

  /** Bytes of the elements, densely stored. */
  default long byteSize() {
    return elements() * type().bytes();
  }
}
