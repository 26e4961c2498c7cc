package dev.gptq.testkit;

import static dev.gptq.tensor.DType.F32;
import static dev.gptq.tensor.Layout.COLUMN_MAJOR;

import dev.gptq.grid.GridSpec;

/** Grids for weights of about unit size, with a group for each column in no regular order. */
record Grids(Matrix scale, Matrix zero, Matrix groupOf) {

  static Grids of(Inputs inputs, GridSpec spec, int rows, int columns, int groups) {
    double[] scales = new double[rows * groups];
    double[] zeros = new double[rows * groups];
    for (int i = 0; i < scales.length; i++) {
      double range = 0.5 + inputs.integer(1000) / 250.0;
      scales[i] = spec.roundScale((float) (range / spec.scheme().levels(spec.bits())));
      zeros[i] =
          spec.scheme().hasZeroPoint()
              ? inputs.integer(spec.maxCode() + 1)
              : spec.scheme().fixedZero(spec.bits());
    }
    return new Grids(
        new Matrix(F32, COLUMN_MAJOR, rows, groups, scales),
        new Matrix(F32, COLUMN_MAJOR, rows, groups, zeros),
        inputs.indices(columns, groups));
  }

  /** Adds them to an operation. */
  Operation arguments(Operation operation) {
    return operation.in("scale", scale).in("zero", zero).in("groupOf", groupOf);
  }
}
