package dev.gptq.formats.packed;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Little-endian elements without alignment, and conversions among real types. */
public final class Elements {
  public static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  public static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  public static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  public static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Elements() {}

  /** An element of a tensor of real numbers. */
  public static float get(StoredTensor tensor, long index) {
    return switch (tensor.type()) {
      case F32 -> tensor.data().getAtIndex(FLOAT, index);
      case F16 -> Float.float16ToFloat(tensor.data().getAtIndex(HALF, index));
      case BF16 -> Float.intBitsToFloat(tensor.data().getAtIndex(HALF, index) << 16);
      default ->
          throw new BadInputException(
              "%s: tensor '%s' is %s where F16, BF16 or F32 is expected"
                  .formatted(tensor.file(), tensor.name(), tensor.type()));
    };
  }

  /** Whether a type of real numbers holds the value without rounding. */
  public static boolean holds(StoredType type, float value) {
    return switch (type) {
      case F32 -> true;
      case F16 -> Float.float16ToFloat(Float.floatToFloat16(value)) == value;
      case BF16 -> (Float.floatToRawIntBits(value) & 0xffff) == 0;
      default -> throw new IllegalArgumentException("no type of real numbers: " + type);
    };
  }

  /** The nearest value that a type of real numbers holds, ties to even; infinite if too large. */
  public static float rounded(StoredType type, float value) {
    return switch (type) {
      case F32 -> value;
      case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
      case BF16 -> {
        int bits = Float.floatToRawIntBits(value);
        yield Float.intBitsToFloat((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
      }
      default -> throw new IllegalArgumentException("no type of real numbers: " + type);
    };
  }

  /** Stores a value that the type {@linkplain #holds holds}. */
  public static void put(MemorySegment data, StoredType type, long index, float value) {
    switch (type) {
      case F32 -> data.setAtIndex(FLOAT, index, value);
      case F16 -> data.setAtIndex(HALF, index, Float.floatToFloat16(value));
      case BF16 -> data.setAtIndex(HALF, index, (short) (Float.floatToRawIntBits(value) >>> 16));
      default -> throw new IllegalArgumentException("no type of real numbers: " + type);
    }
  }

  /** Stores values that the type {@linkplain #holds holds}. */
  public static void put(MemorySegment data, StoredType type, float[] values) {
    if (type == StoredType.F32) {
      MemorySegment.copy(values, 0, data, FLOAT, 0, values.length);
      return;
    }
    short[] halves = new short[values.length];
    for (int i = 0; i < halves.length; i++) {
      halves[i] =
          type == StoredType.F16
              ? Float.floatToFloat16(values[i])
              : (short) (Float.floatToRawIntBits(values[i]) >>> 16);
    }
    MemorySegment.copy(halves, 0, data, HALF, 0, halves.length);
  }

  /** The values in memory outside the heap. */
  public static MemorySegment toSegment(float[] values) {
    return Arena.ofAuto().allocateFrom(FLOAT.withByteAlignment(Float.BYTES), values);
  }

  /** The elements rounded to float16. */
  public static MemorySegment toHalves(StoredTensor tensor, Arena arena) {
    MemorySegment halves = arena.allocate(2 * tensor.elements(), 8);
    for (long i = 0; i < tensor.elements(); i++) {
      float value = get(tensor, i);
      short half = Float.floatToFloat16(value);
      if (!Float.isFinite(Float.float16ToFloat(half))) {
        throw new BadInputException(
            "%s: tensor '%s' holds %s, which float16 cannot; leave this module unquantized"
                .formatted(tensor.file(), tensor.name(), value));
      }
      halves.setAtIndex(HALF, i, half);
    }
    return halves;
  }
}
