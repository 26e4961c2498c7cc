package dev.gptq.quantizer.tune;

import dev.gptq.backend.Backend;
import dev.gptq.quantizer.pipeline.KeptRows;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;

/** A tensor with contiguous columns, F32 or U8, whose columns are the rows that are kept. */
record KeptTensor(Backend backend, Tensor tensor) implements KeptRows {
  @Override
  public DType type() {
    return tensor.type();
  }

  @Override
  public int rows() {
    return tensor.columns();
  }

  @Override
  public int columns() {
    return tensor.rows();
  }

  @Override
  public void copyTo(int from, int to, MemorySegment host) {
    tensor.columns(from, to).copyTo(host);
  }

  @Override
  public void fill(int from, int to, MemorySegment host) {
    int rows = tensor.rows();
    try (TensorScope scope = backend.newScope()) {
      Tensor read = scope.upload(host, type(), rows, to - from, Layout.COLUMN_MAJOR);
      // Takes all rows, which converting does for real numbers only.
      backend
          .linalg()
          .replaceRows(
              scope.filled(0, rows, 1), scope.filled(1, rows, 1), read, tensor.columns(from, to));
    }
  }
}
