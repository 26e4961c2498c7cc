package dev.gptq.formats.codec;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * Matrices of 8-bit floating-point numbers with scales: {@code W = F8·scale} in float32, since
 * bfloat16 would round the products. The scale is one for the matrix, one for each row, or one for
 * each block.
 */
public final class Float8 {
  private static final float[] E4M3 = new float[256];
  private static final float[] E5M2 = new float[256];

  /** The size of blocks where nothing else is said. */
  private static final int USUAL_BLOCK = 128;

  static {
    for (int code = 0; code < 256; code++) {
      int magnitude = code & 0x7f;
      float sign = code < 128 ? 1 : -1;
      E4M3[code] =
          magnitude == 0x7f ? Float.NaN : sign * number(magnitude >> 3, magnitude & 7, 3, 7);
      // The upper half of a float16.
      E5M2[code] = Float.float16ToFloat((short) (code << 8));
    }
  }

  private Float8() {}

  private static float number(int exponent, int mantissa, int bits, int bias) {
    float fraction = (float) mantissa / (1 << bits);
    return exponent == 0
        ? Math.scalb(fraction, 1 - bias)
        : Math.scalb(1 + fraction, exponent - bias);
  }

  /** Whether elements are of 8 bits. */
  public static boolean is(StoredTensor tensor) {
    return tensor.type() == StoredType.F8_E4M3 || tensor.type() == StoredType.F8_E5M2;
  }

  /**
   * The matrix that codes and scales stand for, float32.
   *
   * @param codes rows × columns
   * @param scale one number, one for each row, or a matrix of one for each block; 1 if there is
   *     none
   * @param block rows and columns of a block, where the configuration says so
   */
  public static StoredTensor decode(
      StoredTensor codes, Optional<StoredTensor> scale, Optional<ImmutableList<Integer>> block) {
    int rows = codes.rows();
    int columns = codes.columns();
    float[] numbers = codes.type() == StoredType.F8_E4M3 ? E4M3 : E5M2;
    Scales scales =
        scale.map(s -> Scales.of(codes, s, block)).orElse(new Scales(rows, columns, 1, null));
    return StoredTensor.computed(
        codes.name(),
        StoredType.F32,
        codes.shape(),
        codes.file(),
        () -> {
          MemorySegment from = codes.data();
          float[] factors = scales.values();
          return Computed.segment(
              rows,
              (long) Float.BYTES * columns,
              (row, to) -> {
                int first = row / scales.rows() * scales.across();
                for (int c = 0; c < columns; c++) {
                  int code = from.get(ValueLayout.JAVA_BYTE, (long) row * columns + c) & 0xff;
                  float factor = factors[first + c / scales.columns()];
                  to.setAtIndex(Computed.FLOAT, c, numbers[code] * factor);
                }
              });
        });
  }

  /**
   * Which scale an element has.
   *
   * @param rows of a block
   * @param columns of a block
   * @param across blocks side by side
   * @param stored the numbers; 1 if null
   */
  private record Scales(int rows, int columns, int across, StoredTensor stored) {

    static Scales of(
        StoredTensor codes, StoredTensor scale, Optional<ImmutableList<Integer>> block) {
      int rows = codes.rows();
      int columns = codes.columns();
      if (scale.elements() == 1) {
        return new Scales(rows, columns, 1, scale);
      }
      ImmutableList<Long> shape = scale.shape();
      if (scale.elements() == rows && shape.getFirst() == rows) {
        return new Scales(1, columns, 1, scale);
      }
      ImmutableList<Integer> size = block.orElse(ImmutableList.of(USUAL_BLOCK, USUAL_BLOCK));
      int down = Math.ceilDiv(rows, size.get(0));
      int across = Math.ceilDiv(columns, size.get(1));
      if (!shape.equals(ImmutableList.of((long) down, (long) across))) {
        throw new BadInputException(
            "%s: tensor %s belongs to %s, for which it would be a number, one for each row, or with"
                    .formatted(scale.file(), scale.describe(), codes.describe())
                + " blocks of %s %s; is weight_block_size of the configuration right?"
                    .formatted(size, ImmutableList.of(down, across)));
      }
      return new Scales(size.get(0), size.get(1), across, scale);
    }

    float[] values() {
      return stored == null ? new float[] {1} : Numbers.floats(stored);
    }
  }
}
