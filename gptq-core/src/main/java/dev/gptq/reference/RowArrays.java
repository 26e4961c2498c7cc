package dev.gptq.reference;

import dev.gptq.host.HostTensor;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Tensors as Java arrays, row by row, whatever their layout: the reference operations read, compute
 * and write back.
 */
final class RowArrays {
  private RowArrays() {}

  static float[] load(Tensor tensor) {
    HostTensor t = HostTensor.of(tensor);
    float[] values = new float[Math.toIntExact(t.elements())];
    for (int r = 0, i = 0; r < t.rows(); r++) {
      for (int c = 0; c < t.columns(); c++, i++) {
        values[i] = get(t, t.index(r, c));
      }
    }
    return values;
  }

  static void store(float[] values, Tensor tensor) {
    HostTensor t = HostTensor.of(tensor);
    for (int r = 0, i = 0; r < t.rows(); r++) {
      for (int c = 0; c < t.columns(); c++, i++) {
        set(t, t.index(r, c), values[i]);
      }
    }
  }

  static int[] loadInts(Tensor tensor) {
    HostTensor t = HostTensor.of(tensor);
    int[] values = new int[Math.toIntExact(t.elements())];
    for (int r = 0, i = 0; r < t.rows(); r++) {
      for (int c = 0; c < t.columns(); c++, i++) {
        long index = t.index(r, c);
        values[i] =
            t.type() == DType.U8
                ? Byte.toUnsignedInt(t.segment().get(ValueLayout.JAVA_BYTE, index))
                : t.segment().getAtIndex(ValueLayout.JAVA_INT, index);
      }
    }
    return values;
  }

  static void storeBytes(int[] values, Tensor tensor) {
    HostTensor t = HostTensor.of(tensor);
    for (int r = 0, i = 0; r < t.rows(); r++) {
      for (int c = 0; c < t.columns(); c++, i++) {
        t.segment().set(ValueLayout.JAVA_BYTE, t.index(r, c), (byte) values[i]);
      }
    }
  }

  static void storeInts(int[] values, Tensor tensor) {
    HostTensor t = HostTensor.of(tensor);
    for (int r = 0, i = 0; r < t.rows(); r++) {
      for (int c = 0; c < t.columns(); c++, i++) {
        t.segment().setAtIndex(ValueLayout.JAVA_INT, t.index(r, c), values[i]);
      }
    }
  }

  static void addToScalar(Tensor total, double value) {
    HostTensor t = HostTensor.of(total);
    MemorySegment segment = t.segment();
    segment.setAtIndex(
        ValueLayout.JAVA_DOUBLE,
        t.offset(),
        segment.getAtIndex(ValueLayout.JAVA_DOUBLE, t.offset()) + value);
  }

  private static float get(HostTensor t, long index) {
    return switch (t.type()) {
      case F32 -> t.segment().getAtIndex(ValueLayout.JAVA_FLOAT, index);
      case F16 -> Float.float16ToFloat(t.segment().getAtIndex(ValueLayout.JAVA_SHORT, index));
      case BF16 ->
          Float.intBitsToFloat(t.segment().getAtIndex(ValueLayout.JAVA_SHORT, index) << 16);
      default -> throw new IllegalArgumentException("not a real type: " + t.type());
    };
  }

  private static void set(HostTensor t, long index, float value) {
    switch (t.type()) {
      case F32 -> t.segment().setAtIndex(ValueLayout.JAVA_FLOAT, index, value);
      case F16 ->
          t.segment().setAtIndex(ValueLayout.JAVA_SHORT, index, Float.floatToFloat16(value));
      case BF16 -> t.segment().setAtIndex(ValueLayout.JAVA_SHORT, index, bfloat16(value));
      default -> throw new IllegalArgumentException("not a real type: " + t.type());
    }
  }

  /** Rounds to nearest even; a NaN stays one. */
  private static short bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }
}
