package dev.gptq.formats.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.HexFormat;
import java.util.function.IntUnaryOperator;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

/** Blocks that the Python package gguf reads as the same weights; checksums are of known bytes. */
class GgufDecoderTest {
  private static final String CODES = "33aa1188ff66dd44bb22990077ee55cc";
  private static final String FIVES = "b66d49925500bb6611cc7722dd8833ee9944ffaa";
  private static final float D = 1f / 64;
  private static final float DMIN = 1f / 32;
  private static final int[] SC = {3, 63, 17, 40, 5, 50, 33, 21};
  private static final int[] MN = {1, 62, 16, 41, 7, 48, 35, 20};
  private static final String SCALES = "03ff916801fe906975023145";

  private static float[] decode(GgufType type, byte[] bytes) {
    float[] out = new float[type.block()];
    new GgufDecoder(type).block(MemorySegment.ofArray(bytes), 0, out);
    return out;
  }

  private static float[] decode(GgufType type, String hex) {
    return decode(type, HexFormat.of().parseHex(hex));
  }

  @Test
  void blocksOf32() {
    float[] q40 = decode(GgufType.Q4_0, "0038" + CODES);
    assertThat(new float[] {q40[0], q40[1], q40[2], q40[16], q40[17], q40[31]})
        .containsExactly(-2.5f, 1, -3.5f, -2.5f, 1, 2);
    float[] q41 = decode(GgufType.Q4_1, "003800c3" + CODES);
    assertThat(new float[] {q41[0], q41[1], q41[2], q41[16], q41[17], q41[31]})
        .containsExactly(-2, 1.5f, -3, -2, 1.5f, 2.5f);
    float[] q50 = decode(GgufType.Q5_0, "0038" + FIVES);
    assertThat(new float[] {q50[0], q50[1], q50[2], q50[16], q50[31]})
        .containsExactly(-5.5f, 0, 5.5f, 2.5f, 5);
    float[] q51 = decode(GgufType.Q5_1, "003800c4" + FIVES);
    assertThat(new float[] {q51[0], q51[1], q51[2], q51[16], q51[31]})
        .containsExactly(-1.5f, 4, 9.5f, 6.5f, 9);
    float[] q80 =
        decode(
            GgufType.Q8_0, "0034b0b5babfc4c9ced3d8dde2e7ecf1f6fb00050a0f14191e23282d32373c41464b");
    for (int k = 0; k < 32; k++) {
      assertThat(q80[k]).isEqualTo(0.25f * (5 * k - 80));
    }
    // 2^1 · (0, 0.5, −1, …) in the first half, the numbers of the high halves in the second.
    float[] mxfp4 = decode(GgufType.MXFP4, "80" + "f061da43bc259e07" + "00".repeat(8));
    assertThat(new float[] {mxfp4[0], mxfp4[1], mxfp4[2], mxfp4[16], mxfp4[17], mxfp4[18]})
        .containsExactly(0, 1, -2, -12, 8, -6);
  }

  @Test
  void q4AndQ5() {
    byte[] four = HexFormat.of().parseHex("00240028" + SCALES + "00".repeat(128));
    byte[] five = HexFormat.of().parseHex("00240028" + SCALES + "00".repeat(160));
    IntUnaryOperator code = e -> 13 * e + e / 32;
    for (int e = 0; e < 256; e++) {
      int nibble = 32 * (e / 64) + e % 32;
      int shift = e % 64 < 32 ? 0 : 4;
      four[16 + nibble] |= (byte) ((code.applyAsInt(e) & 15) << shift);
      five[48 + nibble] |= (byte) ((code.applyAsInt(e) & 15) << shift);
      five[16 + e % 32] |= (byte) ((code.applyAsInt(e) >> 4 & 1) << (e / 32));
    }
    assertThat(crc(four)).isEqualTo(0x3decc175L);
    assertThat(crc(five)).isEqualTo(0x12953a79L);
    float[] ofFour = decode(GgufType.Q4_K, four);
    float[] ofFive = decode(GgufType.Q5_K, five);
    for (int e = 0; e < 256; e++) {
      float offset = DMIN * MN[e / 32];
      assertThat(ofFour[e]).isEqualTo(D * SC[e / 32] * (code.applyAsInt(e) & 15) - offset);
      assertThat(ofFive[e]).isEqualTo(D * SC[e / 32] * (code.applyAsInt(e) & 31) - offset);
    }
    assertThat(ofFour[255]).isEqualTo(2.65625f);
    assertThat(ofFive[255]).isEqualTo(7.90625f);
  }

  @Test
  void q6() {
    byte[] bytes = new byte[210];
    float[] expected = new float[256];
    for (int e = 0; e < 256; e++) {
      int u = (29 * e + e / 16) % 64;
      int r = e % 128;
      bytes[64 * (e / 128) + r % 64] |= (byte) ((u & 15) << (r < 64 ? 0 : 4));
      bytes[128 + 32 * (e / 128) + r % 32] |= (byte) (u >> 4 << (2 * (r / 32)));
      int scale = 17 * (e / 16) % 127 - 63;
      bytes[192 + e / 16] = (byte) scale;
      expected[e] = D * scale * (u - 32);
    }
    bytes[209] = 0x24;
    assertThat(crc(bytes)).isEqualTo(0xd018613dL);
    assertThat(decode(GgufType.Q6_K, bytes)).isEqualTo(expected);
    assertThat(expected[0]).isEqualTo(31.5f);
  }

  @Test
  void q2() {
    byte[] bytes = new byte[84];
    float[] expected = new float[256];
    for (int e = 0; e < 256; e++) {
      int u = (3 * e + e / 16) % 4;
      int sc = (5 * (e / 16) + 1) % 16;
      int mn = (7 * (e / 16) + 2) % 16;
      bytes[e / 16] = (byte) (sc | mn << 4);
      bytes[16 + 32 * (e / 128) + e % 32] |= (byte) (u << (2 * (e % 128 / 32)));
      expected[e] = D * sc * u - DMIN * mn;
    }
    bytes[81] = 0x24;
    bytes[83] = 0x28;
    assertThat(crc(bytes)).isEqualTo(0xe6f24907L);
    assertThat(decode(GgufType.Q2_K, bytes)).isEqualTo(expected);
  }

  @Test
  void q3() {
    byte[] bytes = new byte[110];
    float[] expected = new float[256];
    for (int e = 0; e < 256; e++) {
      int u = (5 * e + e / 16) % 8;
      bytes[32 + 32 * (e / 128) + e % 32] |= (byte) ((u & 3) << (2 * (e % 128 / 32)));
      bytes[e % 32] |= (byte) (u >> 2 << (e / 32));
      expected[e] = D * (11 * (e / 16) % 64 - 32) * (u - 4);
    }
    System.arraycopy(HexFormat.of().parseHex("803be6914cf7a25d182c61b2"), 0, bytes, 96, 12);
    bytes[109] = 0x24;
    assertThat(crc(bytes)).isEqualTo(0xaae55ac4L);
    assertThat(decode(GgufType.Q3_K, bytes)).isEqualTo(expected);
    assertThat(expected[0]).isEqualTo(2);
  }

  private static long crc(byte[] bytes) {
    CRC32 crc = new CRC32();
    crc.update(bytes);
    return crc.getValue();
  }
}
