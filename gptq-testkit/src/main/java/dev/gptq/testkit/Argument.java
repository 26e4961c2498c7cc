package dev.gptq.testkit;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * A tensor argument of an operation under test.
 *
 * @param value contents before the call
 * @param role whether the operation reads or writes it
 * @param anyShape whether another shape of it alone may be a correct call
 */
record Argument(String name, Matrix value, Role role, boolean anyShape) {
  /** Reads, overwrites, or both. */
  enum Role {
    IN,
    OUT,
    IN_OUT
  }

  /** Where an argument lies in memory. */
  enum Placement {
    DENSE,
    VIEW
  }

  // Odd margins, so that the view starts at no aligned address.
  private static final int BEFORE = 3;
  private static final int AFTER = 5;

  /** An argument in a backend's memory, with the former contents of the whole buffer around it. */
  record Placed(Argument argument, Tensor buffer, Tensor tensor, Matrix before) {

    /** The contents of the tensor. */
    Matrix download() {
      Matrix value = argument.value;
      return value.decode(Placed.bytes(tensor));
    }

    /** Whether no byte of the buffer outside the tensor has changed. */
    boolean surroundingsIntact() {
      Matrix inner = argument.value;
      byte[] then = before.bytes();
      byte[] now = bytes(buffer);
      if (now.length == inner.bytes().length) {
        return true;
      }
      int size = inner.type().bytes();
      for (int r = 0; r < inner.rows(); r++) {
        for (int c = 0; c < inner.columns(); c++) {
          int index = before.index(r + BEFORE, c + BEFORE) * size;
          System.arraycopy(then, index, now, index, size);
        }
      }
      return Arrays.equals(then, now);
    }

    /** Whether no byte of the buffer has changed. */
    boolean intact() {
      return Arrays.equals(before.bytes(), bytes(buffer));
    }

    private static byte[] bytes(Tensor tensor) {
      byte[] bytes = new byte[Math.toIntExact(tensor.byteSize())];
      tensor.copyTo(MemorySegment.ofArray(bytes));
      return bytes;
    }
  }

  /** Brings the argument into a scope. */
  Placed place(TensorScope scope, Placement placement) {
    Matrix buffer = placement == Placement.VIEW ? surrounded(value) : value;
    byte[] bytes = buffer.bytes();
    Tensor whole =
        scope.upload(
            MemorySegment.ofArray(bytes),
            buffer.type(),
            buffer.rows(),
            buffer.columns(),
            buffer.layout());
    Tensor tensor =
        placement == Placement.VIEW
            ? whole.rows(BEFORE, BEFORE + value.rows()).columns(BEFORE, BEFORE + value.columns())
            : whole;
    return new Placed(this, whole, tensor, buffer);
  }

  /** The same argument with other contents. */
  Argument with(Matrix other) {
    return new Argument(name, other, role, anyShape);
  }

  /** Contents that an operation must not let through: what undefined memory may hold. */
  Argument poisoned(double real) {
    if (role != Role.OUT) {
      return this;
    }
    double poison = value.type() == DType.U8 ? 0xAB : real;
    return with(Matrix.filled(value.type(), value.layout(), value.rows(), value.columns(), poison));
  }

  /** Surrounds the matrix with values that spoil any result they enter. */
  private static Matrix surrounded(Matrix inner) {
    int rows = inner.rows() + BEFORE + AFTER;
    int columns = inner.columns() + BEFORE + AFTER;
    double canary =
        switch (inner.type()) {
          case I32 -> Integer.MAX_VALUE;
          case U8 -> 0xA5;
          default -> Double.NaN;
        };
    Matrix outer = Matrix.filled(inner.type(), inner.layout(), rows, columns, canary);
    for (int r = 0; r < inner.rows(); r++) {
      System.arraycopy(
          inner.values(),
          r * inner.columns(),
          outer.values(),
          (r + BEFORE) * columns + BEFORE,
          inner.columns());
    }
    return outer;
  }
}
