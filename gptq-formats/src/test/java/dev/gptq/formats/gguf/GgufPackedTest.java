package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Blocks of random codes and scales, decoded one way and the other. */
class GgufPackedTest {
  private static final int ROWS = 5;
  private static final int COLUMNS = 512;

  /** Where the float16 numbers of a block are. */
  private static int[] halves(GgufType type) {
    return switch (type) {
      case Q2_K -> new int[] {80, 82};
      case Q3_K -> new int[] {108};
      case Q6_K -> new int[] {208};
      case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
      default -> new int[] {0};
    };
  }

  private static GgufStored random(GgufType type) {
    Random random = new Random(type.id());
    byte[] bytes = new byte[Math.toIntExact(type.bytes(ROWS * COLUMNS))];
    random.nextBytes(bytes);
    MemorySegment blocks = MemorySegment.ofArray(bytes);
    int size = Math.toIntExact(type.bytes(type.block()));
    for (int at = 0; at < bytes.length; at += size) {
      for (int half : halves(type)) {
        float number = at == 0 ? 0 : (float) random.nextGaussian() * 0.01f;
        blocks.set(Elements.HALF, at + half, Float.floatToFloat16(number));
      }
    }
    return new GgufStored(
        "m", type, ImmutableList.of((long) ROWS, (long) COLUMNS), Path.of("memory"), () -> blocks);
  }

  @ParameterizedTest
  @EnumSource(names = {"Q4_0", "Q5_0", "Q8_0", "Q3_K", "Q6_K"})
  void typesWithoutOffsetsKeepEveryWeight(GgufType type) {
    GgufStored stored = random(type);
    PackedMatrix packed = stored.packed();
    StoredTensor decoded = decoded(stored);
    for (int o = 0; o < ROWS; o++) {
      for (int i = 0; i < COLUMNS; i++) {
        assertThat(packed.weight(o, i)).isEqualTo(Elements.get(decoded, (long) o * COLUMNS + i));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K"})
  void offsetsAreRoundedAsFloat32Does(GgufType type) {
    GgufStored stored = random(type);
    PackedMatrix packed = stored.packed();
    assertThat(stored.packedBytes())
        .isEqualTo(
            packed.words().byteSize()
                + packed.scales().byteSize()
                + packed.zeros().orElseThrow().byteSize());
    StoredTensor decoded = decoded(stored);
    for (int o = 0; o < ROWS; o++) {
      for (int i = 0; i < COLUMNS; i++) {
        float expected = Elements.get(decoded, (long) o * COLUMNS + i);
        int g = packed.group(i);
        double size =
            Math.abs((double) packed.scale(o, g))
                * (packed.code(o, i) + Math.abs((double) packed.zero(o, g)));
        assertThat(Math.abs((double) packed.weight(o, i) - expected))
            .as("row %d, column %d", o, i)
            .isLessThanOrEqualTo(0x1p-22 * size);
      }
    }
  }

  /** A step of 0 leaves the offset, which no zero point of such a step could say. */
  @ParameterizedTest
  @CsvSource({"Q4_1, -0.5", "Q5_1, 0.25"})
  void groupsWithoutAStepAreTheirOffset(GgufType type, float offset) {
    byte[] bytes = new byte[Math.toIntExact(type.bytes(32))];
    new Random(1).nextBytes(bytes);
    MemorySegment block = MemorySegment.ofArray(bytes);
    block.set(Elements.HALF, 0, (short) 0);
    block.set(Elements.HALF, 2, Float.floatToFloat16(offset));
    GgufStored stored =
        new GgufStored("m", type, ImmutableList.of(1L, 32L), Path.of("memory"), () -> block);
    PackedMatrix packed = stored.packed();
    for (int i = 0; i < 32; i++) {
      assertThat(packed.weight(0, i)).isEqualTo(offset);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16", "MXFP4"})
  void numbersAreNotPacked(GgufType type) {
    assertThat(
            new GgufStored(
                    "m",
                    type,
                    ImmutableList.of(1L, 32L),
                    Path.of("memory"),
                    () -> MemorySegment.NULL)
                .isPacked())
        .isFalse();
  }

  private static StoredTensor decoded(GgufStored stored) {
    StoredTensor lazy = stored.decoded("m");
    return new StoredTensor("m", lazy.type(), lazy.shape(), lazy.file(), lazy.data());
  }
}
