package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.grid.SuperBlock;
import dev.gptq.pack.BitStream;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HexFormat;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.function.IntUnaryOperator;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class GgufSuperBlocksTest {
  private static final int[] SCALES = {3, 63, 17, 40, 5, 50, 33, 21};
  private static final int[] OFFSETS = {1, 62, 16, 41, 7, 48, 35, 20};

  /** A row of blocks with these integers for each group. */
  private static PackedMatrix matrix(
      SuperBlock type,
      float[] d,
      float[] e,
      IntUnaryOperator c,
      IntUnaryOperator o,
      IntUnaryOperator u) {
    int columns = SuperBlock.COLUMNS * d.length;
    int groups = type.groups() * d.length;
    MemorySegment words = MemorySegment.ofArray(new int[BitStream.words(columns, type.bits())]);
    for (int i = 0; i < columns; i++) {
      BitStream.put(words, 1, 0, i, type.bits(), u.applyAsInt(i));
    }
    float[] scales = new float[groups];
    float[] zeros = new float[groups];
    for (int g = 0; g < groups; g++) {
      scales[g] = d[g / type.groups()] * c.applyAsInt(g);
      zeros[g] = e[g / type.groups()] * o.applyAsInt(g) / scales[g];
    }
    return new PackedMatrix(
        type.scheme(),
        type.bits(),
        1,
        columns,
        groups,
        words,
        MemorySegment.ofArray(scales),
        type.hasOffsets() ? Optional.of(MemorySegment.ofArray(zeros)) : Optional.empty(),
        Optional.empty());
  }

  private static byte[] encode(PackedMatrix matrix) {
    GgufType type = GgufType.of(matrix).orElseThrow();
    return GgufBlocks.encode("m", matrix, type, row -> row).toArray(ValueLayout.JAVA_BYTE);
  }

  @Test
  void fourBitsAreTheKnownBlock() {
    byte[] block =
        encode(
            matrix(
                SuperBlock.Q4_K,
                new float[] {0x1p-6f},
                new float[] {0x1p-5f},
                g -> SCALES[g],
                g -> OFFSETS[g],
                i -> (13 * i + i / 32) % 16));
    assertThat(HexFormat.of().formatHex(block))
        .startsWith("0024" + "0028" + "03ff916801fe906975023145" + "10edba875421fecb")
        .hasSize(2 * 144);
    assertThat(crc(block)).isEqualTo("3decc175");
  }

  @Test
  void threeBitsAreTheKnownBlock() {
    byte[] block =
        encode(
            matrix(
                SuperBlock.Q3_K,
                new float[] {0x1p-6f},
                new float[] {0},
                g -> 11 * g % 64 - 32,
                g -> 0,
                i -> (5 * i + i / 16) % 8));
    assertThat(HexFormat.of().formatHex(block, 96, 108)).isEqualTo("803be6914cf7a25d182c61b2");
    assertThat(crc(block)).isEqualTo("aae55ac4");
  }

  @Test
  void fiveBitsAreTheKnownBlock() {
    byte[] block =
        encode(
            matrix(
                SuperBlock.Q5_K,
                new float[] {0x1p-6f},
                new float[] {0x1p-5f},
                g -> SCALES[g],
                g -> OFFSETS[g],
                i -> (13 * i + i / 32) % 32));
    assertThat(HexFormat.of().formatHex(block, 16, 48))
        .isEqualTo("00f83f00ff00fc1f00ff00fe0f80ff00ff07c0ff00ff03e0ff00ff01f07f00ff");
    assertThat(crc(block)).isEqualTo("12953a79");
  }

  /** Its scales fit half of the float16 number as well, which is found first. */
  @Test
  void sixBitsAreTheKnownBlock() {
    byte[] block =
        encode(
            matrix(
                SuperBlock.Q6_K,
                new float[] {0x1p-6f},
                new float[] {0},
                g -> 17 * g % 127 - 63,
                g -> 0,
                i -> (29 * i + i / 16) % 64));
    assertThat(HexFormat.of().formatHex(block)).startsWith("401deab784512efb").endsWith("0020");
    for (int j = 0; j < 16; j++) {
      assertThat(block[192 + j] % 2).isZero();
      block[192 + j] = (byte) (block[192 + j] / 2);
    }
    block[209] = (byte) (block[209] + 4);
    assertThat(HexFormat.of().formatHex(block)).endsWith("c1d2e3f405162738cadbecfd0e1f30c20024");
    assertThat(crc(block)).isEqualTo("d018613d");
  }

  private static String crc(byte[] bytes) {
    CRC32 crc = new CRC32();
    crc.update(bytes);
    return HexFormat.of().toHexDigits((int) crc.getValue());
  }

  /** What ggml makes of the blocks is what scales, offsets and codes stand for. */
  @ParameterizedTest
  @EnumSource(SuperBlock.class)
  void blocksAreDecodedToTheSameWeights(SuperBlock type) {
    SplittableRandom random = new SplittableRandom(type.bits());
    int blocks = 40;
    float[] d = new float[blocks];
    float[] e = new float[blocks];
    for (int b = 0; b < blocks; b++) {
      d[b] = Float.float16ToFloat(Float.floatToFloat16(random.nextFloat() * 0.01f + 1e-6f));
      e[b] = Float.float16ToFloat(Float.floatToFloat16(random.nextFloat() * 0.01f));
      d[b] = type.hasOffsets() || b % 2 == 0 ? d[b] : -d[b];
    }
    int[] c = new int[blocks * type.groups()];
    int[] o = new int[blocks * type.groups()];
    for (int g = 0; g < c.length; g++) {
      do {
        c[g] = random.nextInt(type.leastScale(), type.mostScale() + 1);
      } while (c[g] == 0);
      o[g] = random.nextInt(type.mostScale() + 1);
    }
    int[] codes = random.ints(blocks * 256L, 0, 1 << type.bits()).toArray();
    PackedMatrix matrix = matrix(type, d, e, g -> c[g], g -> o[g], i -> codes[i]);
    GgufType stored = GgufType.of(matrix).orElseThrow();
    assertThat(stored.name()).isEqualTo(type.name());
    MemorySegment bytes = MemorySegment.ofArray(encode(matrix));
    float[] out = new float[256];
    for (int b = 0; b < blocks; b++) {
      new GgufDecoder(stored).block(bytes, stored.bytes(256L * b), out);
      for (int i = 0; i < 256; i++) {
        int g = (256 * b + i) / type.groupSize();
        int code = codes[256 * b + i];
        float expected =
            type.hasOffsets()
                ? d[b] * c[g] * code - e[b] * o[g]
                : d[b] * c[g] * (code - (1 << (type.bits() - 1)));
        assertThat(out[i]).isEqualTo(expected);
      }
    }
  }

  @Test
  void otherScalesAreRefused() {
    PackedMatrix matrix =
        matrix(
            SuperBlock.Q3_K, new float[] {0.1f}, new float[] {0}, g -> g + 1, g -> 0, i -> i % 8);
    assertThatThrownBy(() -> encode(matrix))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("do not fit blocks of Q3_K; quantize for them with --type Q3_K");
  }

  @Test
  void gridsOfOtherTypesStayWhatTheyWere() {
    PackedMatrix plain =
        matrix(
            SuperBlock.Q4_K, new float[] {0.5f}, new float[] {0.5f}, g -> 1, g -> 8, i -> i % 16);
    assertThat(GgufType.of(plain)).isEmpty();
  }
}
