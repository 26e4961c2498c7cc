package dev.gptq.formats.codec;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Matrices of 4-bit floating-point numbers, two a byte with the first in the lower half, of which
 * 32 share a power of two: {@code W = F4·2^(scale − 127)}, which bfloat16 holds without rounding.
 */
public final class Mxfp4 {
  private static final float[] NUMBERS = {
    0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6
  };

  private static final int BLOCK = 32;

  /** What is added to the exponent of a power of two to store it. */
  public static final int BIAS = 127;

  private Mxfp4() {}

  /** The number that the lowest four bits stand for. */
  public static float number(int code) {
    return NUMBERS[code & 15];
  }

  /**
   * The four bits that stand for a number.
   *
   * @throws IllegalStateException if none do
   */
  public static int code(float number) {
    int bits = Float.floatToRawIntBits(number);
    for (int code = 0; code < NUMBERS.length; code++) {
      if (Float.floatToRawIntBits(NUMBERS[code]) == bits) {
        return code;
      }
    }
    throw new IllegalStateException(number + " is no 4-bit floating-point number");
  }

  /** The power of two of a block. */
  public static float scale(int code) {
    return Numbers.powerOfTwo(code);
  }

  /**
   * The matrix that blocks and scales stand for.
   *
   * @param name of the result
   * @param blocks rows × groups × 16 bytes
   * @param scales rows × groups bytes
   */
  public static StoredTensor decode(String name, StoredTensor blocks, StoredTensor scales) {
    if (blocks.type() != StoredType.U8
        || scales.type() != StoredType.U8
        || blocks.shape().size() != 3
        || blocks.shape().getLast() != BLOCK / 2
        || !blocks.shape().subList(0, 2).equals(scales.shape())) {
      throw new BadInputException(
          "%s: tensors %s and %s do not belong together; download the checkpoint again"
              .formatted(blocks.file(), blocks.describe(), scales.describe()));
    }
    return decode(name, blocks, scales, blocks.shape().get(0), blocks.shape().get(1));
  }

  /** Whether a matrix of bytes holds two numbers each, with a power of two for each block. */
  static boolean isMatrix(StoredTensor codes, StoredTensor scales) {
    return codes.type() == StoredType.I8
        && scales.type() == StoredType.F8_E8M0
        && codes.shape().size() == 2
        && scales
            .shape()
            .equals(
                ImmutableList.of(codes.shape().getFirst(), codes.shape().getLast() / (BLOCK / 2)))
        && codes.shape().getLast() % (BLOCK / 2) == 0;
  }

  /** The matrix for which {@link #isMatrix} holds, as DeepSeek V4 keeps its experts. */
  static StoredTensor decode(StoredTensor codes, StoredTensor scales) {
    return decode(codes.name(), codes, scales, scales.shape().getFirst(), scales.shape().getLast());
  }

  private static StoredTensor decode(
      String name, StoredTensor blocks, StoredTensor scales, long allRows, long allGroups) {
    int rows = Math.toIntExact(allRows);
    int groups = Math.toIntExact(allGroups);
    return StoredTensor.computed(
        name,
        StoredType.BF16,
        ImmutableList.of((long) rows, (long) groups * BLOCK),
        blocks.file(),
        () -> {
          MemorySegment codes = blocks.data();
          MemorySegment exponents = scales.data();
          return Computed.segment(
              rows,
              2L * BLOCK * groups,
              (row, to) -> {
                for (int g = 0; g < groups; g++) {
                  decode(codes, exponents, (long) row * groups + g, to.asSlice(2L * BLOCK * g));
                }
              });
        });
  }

  private static void decode(
      MemorySegment codes, MemorySegment exponents, long block, MemorySegment to) {
    float scale = scale(exponents.get(ValueLayout.JAVA_BYTE, block) & 0xff);
    for (int i = 0; i < BLOCK; i++) {
      int both = codes.get(ValueLayout.JAVA_BYTE, block * (BLOCK / 2) + i / 2);
      float value = number(i % 2 == 0 ? both : both >> 4) * scale;
      to.setAtIndex(Computed.HALF, i, Computed.toBfloat16(value));
    }
  }
}
