package dev.gptq.quantizer.gguf;

import dev.gptq.formats.gguf.GgufBlocks;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.grid.SuperBlock;
import dev.gptq.quantize.BlockRounding;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Matrices that no algorithm has quantized, rounded to nearest. */
final class GgufRounding {
  private static final int BLOCK = GgufType.Q8_0.block();
  private static final int MOST = 127;

  /** Rows that are rounded at a time on blocks of 256. */
  private static final int ROWS = 2048;

  private GgufRounding() {}

  /** A matrix of whole blocks of a type, 8 bits in blocks of 32 or one with blocks of 256. */
  static MemorySegment of(StoredTensor stored, GgufType type) {
    StoredTensor once =
        new StoredTensor(
            stored.name(), stored.type(), stored.shape(), stored.file(), stored.data());
    return type == GgufType.Q8_0 ? q8(once) : superBlocks(once, type);
  }

  private static MemorySegment superBlocks(StoredTensor stored, GgufType type) {
    int columns = stored.columns();
    float[] alike = new float[columns];
    Arrays.fill(alike, 1);
    long rowBytes = type.bytes(columns);
    MemorySegment blocks = Arena.ofAuto().allocate(rowBytes * stored.rows(), 8);
    for (int from = 0; from < stored.rows(); from += ROWS) {
      int first = from;
      int rows = Math.min(ROWS, stored.rows() - from);
      float[] w = new float[rows * columns];
      IntStream.range(0, rows)
          .parallel()
          .forEach(r -> {
            for (int c = 0; c < columns; c++) {
              w[c * rows + r] = Elements.get(stored, (long) (first + r) * columns + c);
            }
          });
      MemorySegment.copy(
          GgufBlocks.encode(
              stored.name(),
              BlockRounding.of(SuperBlock.valueOf(type.name()), w, rows, alike),
              type,
              row -> row),
          0,
          blocks,
          first * rowBytes,
          rows * rowBytes);
    }
    return blocks;
  }

  /** {@code d = max|w|/127} in float16. */
  private static MemorySegment q8(StoredTensor stored) {
    int columns = stored.columns();
    long rowBytes = GgufType.Q8_0.bytes(columns);
    MemorySegment blocks = Arena.ofAuto().allocate(rowBytes * stored.rows(), 8);
    IntStream.range(0, stored.rows())
        .parallel()
        .forEach(row -> {
          for (int block = 0; block < columns / BLOCK; block++) {
            long from = (long) row * columns + (long) block * BLOCK;
            block(stored, from, blocks, row * rowBytes + GgufType.Q8_0.bytes((long) block * BLOCK));
          }
        });
    return blocks;
  }

  private static void block(StoredTensor stored, long from, MemorySegment blocks, long to) {
    float largest = 0;
    for (int j = 0; j < BLOCK; j++) {
      largest = Math.max(largest, Math.abs(Elements.get(stored, from + j)));
    }
    short half = Float.floatToFloat16(largest / MOST);
    float d = Float.float16ToFloat(half);
    blocks.set(Elements.HALF, to, half);
    for (int j = 0; j < BLOCK; j++) {
      int code = d == 0 ? 0 : (int) Math.rint(Elements.get(stored, from + j) / d);
      blocks.set(ValueLayout.JAVA_BYTE, to + Short.BYTES + j, (byte) Math.clamp(code, -MOST, MOST));
    }
  }
}
