package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import java.util.function.Supplier;

/** Argument checks whose messages name the operation, the argument and what was expected. */
final class Shapes {
  private final String operation;

  private Shapes(String operation) {
    this.operation = operation;
  }

  static Shapes of(String operation) {
    return new Shapes(operation);
  }

  Shapes shape(String name, Tensor t, int rows, int columns) {
    if (t.rows() != rows || t.columns() != columns) {
      throw error(
          name
              + " must be "
              + rows
              + " x "
              + columns
              + " but is "
              + t.rows()
              + " x "
              + t.columns());
    }
    return this;
  }

  /** Of so many parts, one behind the other, each of which is rows × columns. */
  Shapes parts(String name, Tensor t, int count, int rows, int columns) {
    boolean below = t.layout() == Layout.ROW_MAJOR;
    return shape(name, t, below ? count * rows : rows, below ? columns : count * columns);
  }

  Shapes square(String name, Tensor t) {
    return shape(name, t, t.rows(), t.rows());
  }

  Shapes type(String name, Tensor t, DType type) {
    if (t.type() != type) {
      throw error(name + " must be " + type + " but is " + t.type());
    }
    return this;
  }

  Shapes real(String name, Tensor t) {
    if (!t.type().isReal()) {
      throw error(name + " must be F32, F16 or BF16 but is " + t.type());
    }
    return this;
  }

  Shapes rowMajor(String name, Tensor t) {
    return layout(name, t, Layout.ROW_MAJOR);
  }

  Shapes columnMajor(String name, Tensor t) {
    return layout(name, t, Layout.COLUMN_MAJOR);
  }

  Shapes scalar(String name, Tensor t) {
    return type(name, t, DType.F64).shape(name, t, 1, 1);
  }

  Shapes index(String name, Tensor t, int columns) {
    return row(name, t, DType.I32, columns);
  }

  Shapes row(String name, Tensor t, DType type, int columns) {
    return type(name, t, type).shape(name, t, 1, columns).rowMajor(name, t);
  }

  Shapes that(boolean condition, String message) {
    if (!condition) {
      throw error(message);
    }
    return this;
  }

  /** The same with a message that is put together when it is needed. */
  Shapes that(boolean condition, Supplier<String> message) {
    return condition ? this : that(false, message.get());
  }

  private Shapes layout(String name, Tensor t, Layout layout) {
    // Vectors too: one row of a matrix with contiguous columns is not contiguous.
    if (t.layout() != layout) {
      throw error(name + " must be " + layout + " but is " + t.layout());
    }
    return this;
  }

  private IllegalArgumentException error(String message) {
    return new IllegalArgumentException(operation + ": " + message);
  }
}
