package dev.gptq.simd;

import dev.gptq.host.HostTensor;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/**
 * A matrix in memory as the kernels see it. Element (r, c) is at index {@code offset + r·rowStride
 * + c·columnStride} of the segment; one of the strides is 1.
 *
 * @param triangle which part holds values; the rest counts as zero and is never read
 */
record Matrix(
    MemorySegment segment,
    DType type,
    long offset,
    long rowStride,
    long columnStride,
    int rows,
    int columns,
    Triangle triangle) {

  /** The part of a square matrix that holds values, diagonal included. */
  enum Triangle {
    FULL,
    LOWER,
    UPPER;

    Triangle transposed() {
      return switch (this) {
        case FULL -> FULL;
        case LOWER -> UPPER;
        case UPPER -> LOWER;
      };
    }
  }

  static Matrix of(Tensor tensor) {
    HostTensor t = HostTensor.of(tensor);
    return new Matrix(
        t.segment(),
        t.type(),
        t.offset(),
        t.rowStride(),
        t.columnStride(),
        t.rows(),
        t.columns(),
        Triangle.FULL);
  }

  /** A dense F32 matrix with contiguous rows at the start of a segment. */
  static Matrix rowMajor(MemorySegment segment, int rows, int columns) {
    return new Matrix(segment, DType.F32, 0, columns, 1, rows, columns, Triangle.FULL);
  }

  /** Index of an element. */
  long index(long row, long column) {
    return offset + row * rowStride + column * columnStride;
  }

  /** Byte offset of an element of an F32 matrix. */
  long at(long row, long column) {
    return index(row, column) * Float.BYTES;
  }

  /** Rows {@code from} to {@code to} (exclusive) of a full matrix: a view. */
  Matrix rows(int from, int to) {
    return new Matrix(
        segment, type, index(from, 0), rowStride, columnStride, to - from, columns, Triangle.FULL);
  }

  /** Columns {@code from} to {@code to} (exclusive) of a full matrix: a view. */
  Matrix columns(int from, int to) {
    return transposed().rows(from, to).transposed();
  }

  /** Whether the elements of each row follow one another. */
  boolean rowsContiguous() {
    return columnStride == 1;
  }

  Matrix transposed() {
    return new Matrix(
        segment, type, offset, columnStride, rowStride, columns, rows, triangle.transposed());
  }

  /** The block of rows r0 … r1 − 1 and columns c0 … c1 − 1, as a full matrix. */
  Matrix block(int r0, int r1, int c0, int c1) {
    return new Matrix(
        segment, type, index(r0, c0), rowStride, columnStride, r1 - r0, c1 - c0, Triangle.FULL);
  }

  /** The same square matrix of which only a triangle counts. */
  Matrix withTriangle(Triangle part) {
    return new Matrix(segment, type, offset, rowStride, columnStride, rows, columns, part);
  }
}
