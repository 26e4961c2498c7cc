package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.codec.Mxfp4;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;

class GgufMxfp4Test {
  private static final int ROWS = 12;
  private static final int GROUPS = 3;
  private static final int BLOCK = 32;

  private static StoredTensor bytes(byte[] bytes, long... shape) {
    ImmutableList.Builder<Long> sizes = ImmutableList.builder();
    for (long size : shape) {
      sizes.add(size);
    }
    return new StoredTensor(
        "w", StoredType.U8, sizes.build(), Path.of("m"), MemorySegment.ofArray(bytes));
  }

  /** Signs of zeros, too, the smallest powers of two and blocks without large numbers. */
  @Test
  void numbersAreKeptToTheBit() {
    Random random = new Random(7);
    byte[] codes = new byte[ROWS * GROUPS * BLOCK / 2];
    byte[] scales = new byte[ROWS * GROUPS];
    random.nextBytes(codes);
    for (int block = 0; block < scales.length; block++) {
      scales[block] = (byte) (block < 4 ? block : 100 + random.nextInt(50));
      if (block % 3 == 0) {
        for (int i = 0; i < BLOCK / 2; i++) {
          codes[block * BLOCK / 2 + i] &= (byte) (block % 2 == 0 ? 0x99 : 0xbb);
        }
      }
    }
    StoredTensor matrix =
        Mxfp4.decode("w", bytes(codes, ROWS, GROUPS, BLOCK / 2), bytes(scales, ROWS, GROUPS))
            .once();
    MemorySegment blocks = GgufMxfp4.encode(matrix, ROWS - 1, row -> ROWS - 1 - row);
    GgufDecoder decoder = new GgufDecoder(GgufType.MXFP4);
    float[] decoded = new float[BLOCK];
    for (int block = 0; block < (ROWS - 1) * GROUPS; block++) {
      decoder.block(blocks, GgufType.MXFP4.bytes((long) block * BLOCK), decoded);
      int from = ((ROWS - 1 - block / GROUPS) * GROUPS + block % GROUPS) * BLOCK;
      for (int i = 0; i < BLOCK; i++) {
        assertThat(Float.floatToRawIntBits(decoded[i]))
            .isEqualTo(Float.floatToRawIntBits(Elements.get(matrix, (long) from + i)));
      }
    }
  }

  @Test
  void otherNumbersAreNotRounded() {
    float[] numbers = new float[BLOCK];
    numbers[3] = 4;
    numbers[8] = 2.5f;
    StoredTensor matrix =
        new StoredTensor(
            "w",
            StoredType.F32,
            ImmutableList.of(1L, (long) BLOCK),
            Path.of("m"),
            Elements.toSegment(numbers));
    assertThatThrownBy(() -> GgufMxfp4.encode(matrix, 1, row -> row))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("2.5");
  }
}
