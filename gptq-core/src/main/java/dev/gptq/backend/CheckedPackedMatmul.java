package dev.gptq.backend;

import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/** Checks arguments, then delegates. */
record CheckedPackedMatmul(PackedMatmul delegate, DType activation) implements PackedMatmul {

  @Override
  public PackedWeights prepare(PackedMatrix matrix, TensorScope scope) {
    return delegate.prepare(matrix, scope);
  }

  @Override
  public void matmul(Tensor x, PackedWeights w, Tensor y) {
    Shapes.of("packed matmul")
        .type("x", x, activation)
        .rowMajor("x", x)
        .shape("x", x, x.rows(), w.columns())
        .type("y", y, activation)
        .rowMajor("y", y)
        .shape("y", y, x.rows(), w.rows());
    delegate.matmul(x, w, y);
  }
}
