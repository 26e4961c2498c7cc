package dev.gptq.simd;

import dev.gptq.tensor.Tensor;

/** Small tensors as Java arrays. */
final class Indices {
  private Indices() {}

  /** The elements of an I32 row vector. */
  static int[] of(Tensor tensor) {
    Matrix m = Matrix.of(tensor);
    int[] values = new int[m.columns()];
    for (int j = 0; j < values.length; j++) {
      values[j] = m.segment().get(Lanes.INT, m.at(0, j));
    }
    return values;
  }
}
