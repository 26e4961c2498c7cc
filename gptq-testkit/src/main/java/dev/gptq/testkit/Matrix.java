package dev.gptq.testkit;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A matrix on the host: an argument of an operation under test. Every element type fits a double,
 * so one array of doubles, row by row, serves them all.
 */
final class Matrix {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfDouble DOUBLE =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final DType type;
  private final Layout layout;
  private final int rows;
  private final int columns;
  private final double[] values;

  /** Elements row by row, in either layout; they are rounded to the type. */
  Matrix(DType type, Layout layout, int rows, int columns, double[] values) {
    if (values.length != rows * columns) {
      throw new IllegalArgumentException(
          values.length + " values do not fill " + rows + " x " + columns);
    }
    this.type = type;
    this.layout = layout;
    this.rows = rows;
    this.columns = columns;
    this.values = Arrays.stream(values).map(v -> round(v, type)).toArray();
  }

  /** Float32, contiguous rows. */
  static Matrix of(int rows, int columns, double... values) {
    return new Matrix(DType.F32, Layout.ROW_MAJOR, rows, columns, values);
  }

  static Matrix filled(DType type, Layout layout, int rows, int columns, double value) {
    double[] values = new double[rows * columns];
    Arrays.fill(values, value);
    return new Matrix(type, layout, rows, columns, values);
  }

  static Matrix row(int... values) {
    double[] doubles = Arrays.stream(values).asDoubleStream().toArray();
    return new Matrix(DType.I32, Layout.ROW_MAJOR, 1, values.length, doubles);
  }

  static Matrix scalar(double value) {
    return new Matrix(DType.F64, Layout.ROW_MAJOR, 1, 1, new double[] {value});
  }

  DType type() {
    return type;
  }

  Layout layout() {
    return layout;
  }

  int rows() {
    return rows;
  }

  int columns() {
    return columns;
  }

  /** The elements, row by row; tests may change them, to values that the type holds. */
  double[] values() {
    return values;
  }

  double at(int row, int column) {
    return values[row * columns + column];
  }

  Matrix as(DType other) {
    return new Matrix(other, layout, rows, columns, values);
  }

  Matrix as(Layout other) {
    return new Matrix(type, other, rows, columns, values);
  }

  Matrix transposed() {
    double[] turned = new double[values.length];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        turned[c * rows + r] = at(r, c);
      }
    }
    return new Matrix(type, layout.transposed(), columns, rows, turned);
  }

  /** The magnitudes of the elements. */
  Matrix abs() {
    return new Matrix(type, layout, rows, columns, Arrays.stream(values).map(Math::abs).toArray());
  }

  /** The differences of the elements from those of another matrix, rounded to the type. */
  Matrix minus(Matrix other) {
    double[] differences = values.clone();
    Arrays.setAll(differences, i -> values[i] - other.values[i]);
    return new Matrix(type, layout, rows, columns, differences);
  }

  /** Index of an element in memory order. */
  int index(int row, int column) {
    return layout == Layout.ROW_MAJOR ? row * columns + column : column * rows + row;
  }

  /** The elements in memory order, little-endian. */
  byte[] bytes() {
    byte[] bytes = new byte[values.length * type.bytes()];
    MemorySegment segment = MemorySegment.ofArray(bytes);
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        put(segment, (long) index(r, c) * type.bytes(), at(r, c));
      }
    }
    return bytes;
  }

  /** The matrix of this shape, type and layout with the elements of {@code bytes}. */
  Matrix decode(byte[] bytes) {
    MemorySegment segment = MemorySegment.ofArray(bytes);
    double[] decoded = new double[values.length];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        decoded[r * columns + c] = get(segment, (long) index(r, c) * type.bytes());
      }
    }
    return new Matrix(type, layout, rows, columns, decoded);
  }

  @Override
  public String toString() {
    return type + " " + rows + " x " + columns + " " + layout;
  }

  private void put(MemorySegment segment, long at, double value) {
    switch (type) {
      case F64 -> segment.set(DOUBLE, at, value);
      case F32 -> segment.set(FLOAT, at, (float) value);
      case F16 -> segment.set(SHORT, at, Float.floatToFloat16((float) value));
      case BF16 -> segment.set(SHORT, at, (short) (Float.floatToRawIntBits((float) value) >>> 16));
      case I32 -> segment.set(INT, at, (int) value);
      case U8 -> segment.set(ValueLayout.JAVA_BYTE, at, (byte) (int) value);
    }
  }

  private double get(MemorySegment segment, long at) {
    return switch (type) {
      case F64 -> segment.get(DOUBLE, at);
      case F32 -> segment.get(FLOAT, at);
      case F16 -> Float.float16ToFloat(segment.get(SHORT, at));
      case BF16 -> Float.intBitsToFloat(segment.get(SHORT, at) << 16);
      case I32 -> segment.get(INT, at);
      case U8 -> Byte.toUnsignedInt(segment.get(ValueLayout.JAVA_BYTE, at));
    };
  }

  private static double round(double value, DType type) {
    return switch (type) {
      case F64 -> value;
      case F32 -> (float) value;
      case F16 -> Float.float16ToFloat(Float.floatToFloat16((float) value));
      case BF16 -> bfloat16((float) value);
      case I32 -> (int) value;
      case U8 -> (int) value & 0xff;
    };
  }

  private static float bfloat16(float value) {
    if (Float.isNaN(value)) {
      return value;
    }
    int bits = Float.floatToRawIntBits(value);
    return Float.intBitsToFloat((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  }
}
