package dev.gptq.quantizer.gguf;

import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;

/** Matrices that no algorithm has quantized, rounded to nearest. */
final class GgufRounding {
  private static final int BLOCK = GgufType.Q8_0.block();
  private static final int MOST = 127;

  private GgufRounding() {}

  /** A matrix of whole blocks as {@link GgufType#Q8_0}: {@code d = max|w|/127} in float16. */
  static MemorySegment q8(StoredTensor stored) {
    int columns = stored.columns();
    StoredTensor once =
        new StoredTensor(
            stored.name(), stored.type(), stored.shape(), stored.file(), stored.data());
    long rowBytes = GgufType.Q8_0.bytes(columns);
    MemorySegment blocks = Arena.ofAuto().allocate(rowBytes * stored.rows(), 8);
    IntStream.range(0, stored.rows())
        .parallel()
        .forEach(row -> {
          for (int block = 0; block < columns / BLOCK; block++) {
            long from = (long) row * columns + (long) block * BLOCK;
            block(once, from, blocks, row * rowBytes + GgufType.Q8_0.bytes((long) block * BLOCK));
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
