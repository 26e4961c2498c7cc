package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Elements;
import java.lang.foreign.MemorySegment;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/** The float16 numbers of blocks, of which all weights are products. */
public final class GgufScales {
  private GgufScales() {}

  /** Where a block has them, in bytes. */
  static ImmutableList<Integer> places(GgufType type) {
    return switch (type) {
      case Q4_0, Q5_0, Q8_0 -> ImmutableList.of(0);
      case Q4_1, Q5_1, Q4_K, Q5_K -> ImmutableList.of(0, 2);
      case Q2_K -> ImmutableList.of(80, 82);
      case Q3_K -> ImmutableList.of(108);
      case Q6_K -> ImmutableList.of(208);
      case F32, F16, BF16, MXFP4 ->
          throw new IllegalArgumentException(type + " has no float16 numbers in blocks");
    };
  }

  /**
   * Multiplies the weights of rows: codes stay as they are, and each product of a factor and a
   * number of a block is rounded to float16.
   *
   * @param blocks rows of blocks, which change
   * @param factor that of a row
   */
  public static void multiply(
      MemorySegment blocks, GgufType type, int columns, IntToDoubleFunction factor) {
    long rowBytes = type.bytes(columns);
    long bytes = type.bytes(type.block());
    ImmutableList<Integer> places = places(type);
    IntStream.range(0, Math.toIntExact(blocks.byteSize() / rowBytes))
        .parallel()
        .forEach(row -> {
          float by = (float) factor.applyAsDouble(row);
          for (long at = row * rowBytes; at < (row + 1) * rowBytes; at += bytes) {
            for (int place : places) {
              float number = Float.float16ToFloat(blocks.get(Elements.HALF, at + place));
              blocks.set(Elements.HALF, at + place, Float.floatToFloat16(by * number));
            }
          }
        });
  }
}
