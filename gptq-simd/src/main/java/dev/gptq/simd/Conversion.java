package dev.gptq.simd;

import dev.gptq.tensor.DType;
import java.lang.foreign.MemorySegment;

/** Runs of reals from one type to another, rounding to nearest even. Indices count elements. */
final class Conversion {
  private Conversion() {}

  /** {@code target[to + i] ← source[from + i]} as floats. */
  static void toFloat(
      DType type, MemorySegment source, long from, MemorySegment target, long to, long count) {
    switch (type) {
      case F32 -> MemorySegment.copy(source, 4 * from, target, 4 * to, 4 * count);
      case F16 -> {
        for (long i = 0; i < count; i++) {
          float value = Float.float16ToFloat(source.get(Lanes.SHORT, 2 * (from + i)));
          target.set(Lanes.FLOAT, 4 * (to + i), value);
        }
      }
      case BF16 -> {
        for (long i = 0; i < count; i++) {
          int bits = source.get(Lanes.SHORT, 2 * (from + i)) << 16;
          target.set(Lanes.INT, 4 * (to + i), bits);
        }
      }
      default -> throw new IllegalArgumentException("not a real type: " + type);
    }
  }

  /** {@code target[to + i] ← source[from + i]} from floats. */
  static void fromFloat(
      MemorySegment source, long from, DType type, MemorySegment target, long to, long count) {
    switch (type) {
      case F32 -> MemorySegment.copy(source, 4 * from, target, 4 * to, 4 * count);
      case F16 -> {
        for (long i = 0; i < count; i++) {
          float value = source.get(Lanes.FLOAT, 4 * (from + i));
          target.set(Lanes.SHORT, 2 * (to + i), Float.floatToFloat16(value));
        }
      }
      case BF16 -> {
        for (long i = 0; i < count; i++) {
          float value = source.get(Lanes.FLOAT, 4 * (from + i));
          target.set(Lanes.SHORT, 2 * (to + i), bfloat16(value));
        }
      }
      default -> throw new IllegalArgumentException("not a real type: " + type);
    }
  }

  /** One element as a float. */
  static float get(DType type, MemorySegment segment, long index) {
    return switch (type) {
      case F32 -> segment.get(Lanes.FLOAT, 4 * index);
      case F16 -> Float.float16ToFloat(segment.get(Lanes.SHORT, 2 * index));
      case BF16 -> Float.intBitsToFloat(segment.get(Lanes.SHORT, 2 * index) << 16);
      default -> throw new IllegalArgumentException("not a real type: " + type);
    };
  }

  /** Sets one element, rounded. */
  static void set(DType type, MemorySegment segment, long index, float value) {
    switch (type) {
      case F32 -> segment.set(Lanes.FLOAT, 4 * index, value);
      case F16 -> segment.set(Lanes.SHORT, 2 * index, Float.floatToFloat16(value));
      case BF16 -> segment.set(Lanes.SHORT, 2 * index, bfloat16(value));
      default -> throw new IllegalArgumentException("not a real type: " + type);
    }
  }

  private static short bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      // Rounding could carry a NaN into infinity; a set quiet bit keeps it one.
      return (short) ((bits >>> 16) | 0x40);
    }
    return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
  }
}
