package dev.gptq.formats.gguf;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.SuperBlock;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * Packed matrices as blocks of 32 weights, row by row. Byte j of the codes of a block of four bits
 * holds weight j in its low half and weight {@code j + 16} in its high one.
 */
public final class GgufBlocks {
  private static final int SIZE = 32;
  private static final int HALF = SIZE / 2;

  private final String module;
  private final PackedMatrix matrix;
  private final GgufType type;

  private GgufBlocks(String module, PackedMatrix matrix, GgufType type) {
    this.module = module;
    this.matrix = matrix;
    this.type = type;
  }

  /**
   * The blocks of a matrix that {@link GgufType#refusal} accepts. Codes and scales stay as they
   * are; the offset of {@link GgufType#Q4_1} and {@link GgufType#Q5_1}, {@code −scale·zero}, is
   * rounded to float16. Throws {@link BadInputException} if float16 does not hold a scale.
   *
   * @param module its name, for messages
   * @param rowOf the row of the matrix that stands in each row of the file
   */
  public static MemorySegment encode(
      String module, PackedMatrix matrix, GgufType type, IntUnaryOperator rowOf) {
    return encode(module, matrix, type, matrix.rows(), rowOf);
  }

  /** The same for some rows only, so many. */
  public static MemorySegment encode(
      String module, PackedMatrix matrix, GgufType type, int rows, IntUnaryOperator rowOf) {
    return new GgufBlocks(module, matrix, type).encode(rows, rowOf);
  }

  private MemorySegment encode(int rows, IntUnaryOperator rowOf) {
    long rowBytes = type.bytes(matrix.columns());
    MemorySegment blocks = Arena.ofAuto().allocate(rowBytes * rows, 8);
    IntStream.range(0, rows)
        .parallel()
        .forEach(row -> row(blocks.asSlice(row * rowBytes, rowBytes), rowOf.applyAsInt(row)));
    return blocks;
  }

  private void row(MemorySegment row, int o) {
    if (type.block() == SuperBlock.COLUMNS) {
      superBlocks(row, o);
      return;
    }
    long bytes = type.bytes(SIZE);
    for (int block = 0; block < matrix.columns() / SIZE; block++) {
      MemorySegment target = row.asSlice(block * bytes, bytes);
      int from = block * SIZE;
      int group = matrix.group(from);
      float scale = matrix.scale(o, group);
      if (!Elements.holds(StoredType.F16, scale)) {
        throw new BadInputException(
            "module '%s' has the scale %s, which is no float16; quantize the model again with the format gptq"
                .formatted(module, scale));
      }
      target.set(Elements.HALF, 0, Float.floatToFloat16(scale));
      switch (type) {
        case Q4_0 -> nibbles(target, 2, o, from, 8 - (int) matrix.zero(o, group));
        case Q4_1 -> {
          float offset = -scale * matrix.zero(o, group);
          target.set(Elements.HALF, 2, finite(offset));
          nibbles(target, 4, o, from, 0);
        }
        case Q5_0 -> fiveBits(target, 2, o, from);
        case Q5_1 -> {
          target.set(Elements.HALF, 2, finite(-scale * matrix.zero(o, group)));
          fiveBits(target, 4, o, from);
        }
        case Q8_0 -> {
          int zero = (int) matrix.zero(o, group);
          for (int j = 0; j < SIZE; j++) {
            target.set(ValueLayout.JAVA_BYTE, 2 + j, (byte) (matrix.code(o, from + j) - zero));
          }
        }
        default -> throw new IllegalArgumentException(type + " is no type of quantized modules");
      }
    }
  }

  private void superBlocks(MemorySegment row, int o) {
    GgufSuperBlocks blocks = new GgufSuperBlocks(module, SuperBlock.valueOf(type.name()), matrix);
    long bytes = type.bytes(SuperBlock.COLUMNS);
    for (int block = 0; block < matrix.columns() / SuperBlock.COLUMNS; block++) {
      blocks.encode(row.asSlice(block * bytes, bytes), o, block * SuperBlock.COLUMNS);
    }
  }

  private short finite(float offset) {
    short half = Float.floatToFloat16(offset);
    if (!Float.isFinite(Float.float16ToFloat(half))) {
      throw new BadInputException(
          "module '%s' has the offset %s, which float16 cannot hold; leave it out with --exclude"
              .formatted(module, offset));
    }
    return half;
  }

  /** A word of fifth bits, then the lower four of each code. */
  private void fiveBits(MemorySegment target, int at, int o, int from) {
    int fifth = 0;
    for (int j = 0; j < SIZE; j++) {
      fifth |= (matrix.code(o, from + j) >> 4) << j;
    }
    target.set(Elements.INT, at, fifth);
    nibbles(target, at + Integer.BYTES, o, from, 0);
  }

  private void nibbles(MemorySegment target, int at, int o, int from, int shift) {
    for (int j = 0; j < HALF; j++) {
      int low = (matrix.code(o, from + j) + shift) & 15;
      int high = (matrix.code(o, from + j + HALF) + shift) & 15;
      target.set(ValueLayout.JAVA_BYTE, at + j, (byte) (low | high << 4));
    }
  }
}
