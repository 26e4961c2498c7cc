package dev.gptq.simd;

import dev.gptq.tensor.Tensor;

/** Activations: one token a row, contiguous rows. */
final class Activations {
  private Activations() {}

  /**
   * The matrix of a tensor with contiguous rows. A single row out of a column-major matrix passes
   * the layout check, yet is not contiguous.
   */
  static Matrix rows(String name, Tensor tensor) {
    Matrix m = Matrix.of(tensor);
    if (m.columnStride() != 1 && m.columns() > 1) {
      throw new IllegalArgumentException(
          name + " is a row of a column-major matrix; copy it to contiguous memory first");
    }
    return m;
  }

  /** The elements of a row vector. */
  static float[] vector(Tensor tensor) {
    Matrix m = Matrix.of(tensor);
    float[] values = new float[m.columns()];
    for (int j = 0; j < values.length; j++) {
      values[j] = m.segment().get(Lanes.FLOAT, m.at(0, j));
    }
    return values;
  }
}
