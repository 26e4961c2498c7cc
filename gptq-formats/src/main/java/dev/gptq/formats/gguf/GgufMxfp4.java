package dev.gptq.formats.gguf;

import dev.gptq.formats.codec.Mxfp4;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * Writes numbers that were MXFP4 as that again, without rounding: ggml has the power of two of 32
 * numbers, then 16 bytes of which each holds a number of the first half and one of the second.
 */
public final class GgufMxfp4 {
  private static final int BLOCK = GgufType.MXFP4.block();
  private static final int HALF = BLOCK / 2;

  private GgufMxfp4() {}

  /**
   * Rows of a matrix, each taken from another place.
   *
   * @param matrix rows × columns, of which 32 side by side are 4-bit floating-point numbers times
   *     one power of two
   * @return rows of blocks
   * @throws IllegalStateException if a number is not such a product
   */
  public static MemorySegment encode(StoredTensor matrix, int rows, IntUnaryOperator order) {
    StoredTensor numbers = matrix.once();
    int columns = matrix.columns();
    long rowBytes = GgufType.MXFP4.bytes(columns);
    MemorySegment blocks = Arena.ofAuto().allocate(rows * rowBytes, Long.BYTES);
    IntStream.range(0, rows)
        .parallel()
        .forEach(row -> {
          float[] block = new float[BLOCK];
          long from = (long) order.applyAsInt(row) * columns;
          for (int b = 0; b < columns / BLOCK; b++) {
            for (int i = 0; i < BLOCK; i++) {
              block[i] = Elements.get(numbers, from + (long) b * BLOCK + i);
            }
            encode(block, blocks, row * rowBytes + GgufType.MXFP4.bytes((long) b * BLOCK));
          }
        });
    return blocks;
  }

  private static void encode(float[] block, MemorySegment to, long at) {
    float most = 0;
    for (float number : block) {
      most = Math.max(most, Math.abs(number));
    }
    // The largest number becomes 4 or 6: whatever was a product with a greater power is one, too.
    int exponent = Math.max(0, Math.getExponent(most) - 2 + Mxfp4.BIAS);
    to.set(ValueLayout.JAVA_BYTE, at, (byte) exponent);
    for (int i = 0; i < HALF; i++) {
      int both = code(block[i], exponent) | code(block[i + HALF], exponent) << 4;
      to.set(ValueLayout.JAVA_BYTE, at + 1 + i, (byte) both);
    }
  }

  private static int code(float number, int exponent) {
    return Mxfp4.code(Math.scalb(number, Mxfp4.BIAS - exponent));
  }
}
