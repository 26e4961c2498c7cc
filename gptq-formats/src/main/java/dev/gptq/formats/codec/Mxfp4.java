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

  private Mxfp4() {}

  /** The number that the lowest four bits stand for. */
  public static float number(int code) {
    return NUMBERS[code & 15];
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
    int rows = Math.toIntExact(blocks.shape().get(0));
    int groups = Math.toIntExact(blocks.shape().get(1));
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
