package dev.gptq.host;

import com.google.common.base.Preconditions;
import dev.gptq.backend.Rehearsal;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** A shape without elements. */
record RehearsedTensor(DType type, int rows, int columns, Layout layout) implements Tensor {

  @Override
  public Tensor columns(int from, int to) {
    Objects.checkFromToIndex(from, to, columns);
    return new RehearsedTensor(type, rows, to - from, layout);
  }

  @Override
  public Tensor rows(int from, int to) {
    Objects.checkFromToIndex(from, to, rows);
    return new RehearsedTensor(type, to - from, columns, layout);
  }

  @Override
  public Tensor transposed() {
    return new RehearsedTensor(type, columns, rows, layout.transposed());
  }

  @Override
  public Tensor reshaped(int newRows, int newColumns) {
    Preconditions.checkArgument(
        layout == Layout.ROW_MAJOR && (long) newRows * newColumns == elements(),
        "%s cannot become %s x %s",
        this,
        newRows,
        newColumns);
    return new RehearsedTensor(type, newRows, newColumns, layout);
  }

  @Override
  public void copyTo(MemorySegment host) {
    Rehearsal.fill(this, host);
  }
}
