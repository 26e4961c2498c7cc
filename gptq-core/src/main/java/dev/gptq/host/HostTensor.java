package dev.gptq.host;

import com.google.common.base.Preconditions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * A tensor in off-heap memory. Element (r, c) is at byte {@code (offset + r·rowStride +
 * c·columnStride) · bytes} of {@link #segment()}; the stride of the contiguous index is 1.
 */
public final class HostTensor implements Tensor {
  private final HostScope scope;
  private final MemorySegment block;
  private final long offset;
  private final DType type;
  private final int rows;
  private final int columns;
  private final Layout layout;
  private final long stride;

  HostTensor(
      HostScope scope,
      MemorySegment block,
      long offset,
      DType type,
      int rows,
      int columns,
      Layout layout) {
    this(
        scope,
        block,
        offset,
        type,
        rows,
        columns,
        layout,
        layout == Layout.ROW_MAJOR ? columns : rows);
  }

  private HostTensor(
      HostScope scope,
      MemorySegment block,
      long offset,
      DType type,
      int rows,
      int columns,
      Layout layout,
      long stride) {
    this.scope = scope;
    this.block = block;
    this.offset = offset;
    this.type = type;
    this.rows = rows;
    this.columns = columns;
    this.layout = layout;
    this.stride = stride;
  }

  /** The host tensor behind a handle. Throws if it belongs to a backend with other memory. */
  public static HostTensor of(Tensor tensor) {
    if (tensor instanceof HostTensor host) {
      host.checkOpen();
      return host;
    }
    throw new IllegalArgumentException(
        "a tensor of another backend (" + tensor.getClass().getSimpleName() + ") was passed");
  }

  /** The memory block, cache-line aligned; it may be longer than the tensor. */
  public MemorySegment segment() {
    checkOpen();
    return block;
  }

  /** Index of element (0, 0), in elements. */
  public long offset() {
    return offset;
  }

  /** Elements between the starts of consecutive contiguous runs. */
  public long stride() {
    return stride;
  }

  /** Elements from one row to the next. */
  public long rowStride() {
    return layout == Layout.ROW_MAJOR ? stride : 1;
  }

  /** Elements from one column to the next. */
  public long columnStride() {
    return layout == Layout.ROW_MAJOR ? 1 : stride;
  }

  /** Index of element (row, column) in elements. */
  public long index(int row, int column) {
    return offset + row * rowStride() + column * columnStride();
  }

  @Override
  public DType type() {
    return type;
  }

  @Override
  public int rows() {
    return rows;
  }

  @Override
  public int columns() {
    return columns;
  }

  @Override
  public Layout layout() {
    return layout;
  }

  @Override
  public Tensor columns(int from, int to) {
    Objects.checkFromToIndex(from, to, columns);
    return new HostTensor(
        scope, block, offset + from * columnStride(), type, rows, to - from, layout, stride);
  }

  @Override
  public Tensor rows(int from, int to) {
    Objects.checkFromToIndex(from, to, rows);
    return new HostTensor(
        scope, block, offset + from * rowStride(), type, to - from, columns, layout, stride);
  }

  @Override
  public Tensor transposed() {
    return new HostTensor(scope, block, offset, type, columns, rows, layout.transposed(), stride);
  }

  @Override
  public Tensor reshaped(int newRows, int newColumns) {
    Preconditions.checkArgument(
        layout == Layout.ROW_MAJOR
            && (stride == columns || rows == 1)
            && (long) newRows * newColumns == elements(),
        "%s, with %s elements from row to row, cannot become %s x %s",
        this,
        stride,
        newRows,
        newColumns);
    return new HostTensor(scope, block, offset, type, newRows, newColumns, layout);
  }

  @Override
  public void copyTo(MemorySegment host) {
    checkOpen();
    int runs = layout == Layout.ROW_MAJOR ? rows : columns;
    long run = (long) (layout == Layout.ROW_MAJOR ? columns : rows) * type.bytes();
    if (stride * type.bytes() == run || runs == 1) {
      MemorySegment.copy(block, offset * type.bytes(), host, 0, runs * run);
      return;
    }
    for (int i = 0; i < runs; i++) {
      MemorySegment.copy(block, (offset + i * stride) * type.bytes(), host, i * run, run);
    }
  }

  @Override
  public String toString() {
    return type + " " + rows + " x " + columns + " " + layout;
  }

  private void checkOpen() {
    if (!scope.isOpen()) {
      throw new IllegalStateException("the tensor's scope is closed");
    }
  }
}
