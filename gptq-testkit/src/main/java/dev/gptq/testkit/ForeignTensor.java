package dev.gptq.testkit;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** A tensor that no backend has made: every operation must reject it. */
record ForeignTensor(DType type, int rows, int columns, Layout layout) implements Tensor {

  static ForeignTensor like(Matrix matrix) {
    return new ForeignTensor(matrix.type(), matrix.rows(), matrix.columns(), matrix.layout());
  }

  @Override
  public Tensor columns(int from, int to) {
    return new ForeignTensor(type, rows, to - from, layout);
  }

  @Override
  public Tensor rows(int from, int to) {
    return new ForeignTensor(type, to - from, columns, layout);
  }

  @Override
  public Tensor transposed() {
    return new ForeignTensor(type, columns, rows, layout.transposed());
  }

  @Override
  public Tensor reshaped(int newRows, int newColumns) {
    return new ForeignTensor(type, newRows, newColumns, layout);
  }

  @Override
  public void copyTo(MemorySegment host) {
    throw new UnsupportedOperationException("a foreign tensor has no contents");
  }
}
