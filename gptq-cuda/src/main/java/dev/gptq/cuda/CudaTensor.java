package dev.gptq.cuda;

import com.google.common.base.Preconditions;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** A matrix in device memory, or a view of one. */
final class CudaTensor implements Tensor {
  private final CudaScope scope;
  private final long address;
  private final DType type;
  private final int rows;
  private final int columns;
  private final Layout layout;
  private final long stride;
  private final int spare;

  private CudaTensor(
      CudaScope scope,
      long address,
      DType type,
      int rows,
      int columns,
      Layout layout,
      long stride,
      int spare) {
    this.scope = scope;
    this.address = address;
    this.type = type;
    this.rows = rows;
    this.columns = columns;
    this.layout = layout;
    this.stride = stride;
    this.spare = spare;
  }

  static CudaTensor dense(
      CudaScope scope, long address, DType type, int rows, int columns, Layout layout) {
    return dense(scope, address, type, rows, columns, layout, 0);
  }

  /** With memory for so many more contiguous runs behind the last one. */
  static CudaTensor dense(
      CudaScope scope, long address, DType type, int rows, int columns, Layout layout, int spare) {
    int stride = layout == Layout.ROW_MAJOR ? columns : rows;
    return new CudaTensor(scope, address, type, rows, columns, layout, stride, spare);
  }

  /** The device address of element (0, 0). */
  long address() {
    scope.checkOpen();
    return address;
  }

  /** Elements between the starts of consecutive contiguous runs. */
  long stride() {
    return stride;
  }

  long rowStride() {
    return layout == Layout.ROW_MAJOR ? stride : 1;
  }

  long columnStride() {
    return layout == Layout.ROW_MAJOR ? 1 : stride;
  }

  boolean isRowMajor() {
    return layout == Layout.ROW_MAJOR;
  }

  /** Whether the elements lie one behind the other. */
  boolean isDense() {
    return stride == (isRowMajor() ? columns : rows);
  }

  /** Contiguous runs. */
  int runs() {
    return isRowMajor() ? rows : columns;
  }

  /**
   * Whether there is memory for that many contiguous runs, of which those behind the last are
   * nobody's.
   */
  boolean hasRoomFor(int runs) {
    return runs <= runs() + spare;
  }

  /** With that many contiguous runs, the last of which are whatever lies there. */
  CudaTensor withRuns(int runs) {
    Preconditions.checkArgument(hasRoomFor(runs), "%s has no room for %s runs", this, runs);
    int newRows = isRowMajor() ? runs : rows;
    int newColumns = isRowMajor() ? columns : runs;
    int left = spare - (runs - runs());
    return new CudaTensor(scope, address, type, newRows, newColumns, layout, stride, left);
  }

  boolean isEmpty() {
    return rows == 0 || columns == 0;
  }

  CudaScope scope() {
    return scope;
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
  public CudaTensor columns(int from, int to) {
    Objects.checkFromToIndex(from, to, columns);
    long start = address + from * columnStride() * type.bytes();
    int behind = isRowMajor() || to == columns ? spare : 0;
    return new CudaTensor(scope, start, type, rows, to - from, layout, stride, behind);
  }

  @Override
  public CudaTensor rows(int from, int to) {
    Objects.checkFromToIndex(from, to, rows);
    long start = address + from * rowStride() * type.bytes();
    int behind = !isRowMajor() || to == rows ? spare : 0;
    return new CudaTensor(scope, start, type, to - from, columns, layout, stride, behind);
  }

  @Override
  public CudaTensor transposed() {
    return new CudaTensor(scope, address, type, columns, rows, layout.transposed(), stride, spare);
  }

  @Override
  public CudaTensor reshaped(int newRows, int newColumns) {
    Preconditions.checkArgument(
        isRowMajor() && (isDense() || rows == 1) && (long) newRows * newColumns == elements(),
        "%s, with %s elements from row to row, cannot become %s x %s",
        this,
        stride,
        newRows,
        newColumns);
    return dense(scope, address, type, newRows, newColumns, layout);
  }

  @Override
  public void copyTo(MemorySegment host) {
    scope.checkOpen();
    if (host.byteSize() < byteSize()) {
      throw new IndexOutOfBoundsException(
          "copy of " + byteSize() + " bytes to a segment of " + host.byteSize());
    }
    scope.context().staging().download(this, host);
  }

  @Override
  public String toString() {
    return type + " " + rows + " x " + columns + " " + layout;
  }
}
