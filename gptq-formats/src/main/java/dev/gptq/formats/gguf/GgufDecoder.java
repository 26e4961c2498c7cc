package dev.gptq.formats.gguf;

import dev.gptq.formats.codec.Mxfp4;
import dev.gptq.formats.packed.Elements;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Blocks of quantized weights as float32. Each product and sum is rounded where ggml rounds it;
 * products of scales and codes are exact, so only the sums with an offset are rounded at all.
 *
 * <p>Letters: {@code d} and {@code m} are float16 scale and offset of a block, {@code u} a code,
 * {@code sc} and {@code mn} the small scale and offset of a part of a block of 256.
 */
final class GgufDecoder {
  private GgufDecoder() {}

  /** Decodes the block that begins at a byte. */
  static void block(GgufType type, MemorySegment in, long at, float[] out) {
    switch (type) {
      case Q4_0 -> fours(in, at, 2, half(in, at), out, -8);
      case Q4_1 -> {
        fours(in, at, 4, half(in, at), out, 0);
        add(half(in, at + 2), out);
      }
      case Q5_0 -> fives(in, at, 2, half(in, at), out, -16);
      case Q5_1 -> {
        fives(in, at, 4, half(in, at), out, 0);
        add(half(in, at + 2), out);
      }
      case Q8_0 -> {
        float d = half(in, at);
        for (int j = 0; j < 32; j++) {
          out[j] = d * in.get(ValueLayout.JAVA_BYTE, at + 2 + j);
        }
      }
      case MXFP4 -> {
        float scale = Mxfp4.scale(u8(in, at));
        for (int j = 0; j < 16; j++) {
          out[j] = Mxfp4.number(u8(in, at + 1 + j)) * scale;
          out[j + 16] = Mxfp4.number(u8(in, at + 1 + j) >> 4) * scale;
        }
      }
      case Q2_K -> q2(in, at, out);
      case Q3_K -> q3(in, at, out);
      case Q4_K -> q45(in, at, out, false);
      case Q5_K -> q45(in, at, out, true);
      case Q6_K -> q6(in, at, out);
      case F32, F16, BF16 -> throw new IllegalArgumentException(type + " has no blocks");
    }
  }

  private static void fours(MemorySegment in, long at, int codes, float d, float[] out, int shift) {
    for (int j = 0; j < 16; j++) {
      int both = u8(in, at + codes + j);
      out[j] = d * ((both & 15) + shift);
      out[j + 16] = d * ((both >> 4) + shift);
    }
  }

  /** Bit j of the 32 bits before the codes is the fifth of weight j. */
  private static void fives(MemorySegment in, long at, int high, float d, float[] out, int shift) {
    int fifth = in.get(Elements.INT, at + high);
    for (int j = 0; j < 16; j++) {
      int both = u8(in, at + high + 4 + j);
      out[j] = d * (((both & 15) | (fifth >>> j & 1) << 4) + shift);
      out[j + 16] = d * ((both >> 4 | (fifth >>> (j + 16) & 1) << 4) + shift);
    }
  }

  private static void add(float offset, float[] out) {
    for (int j = 0; j < out.length; j++) {
      out[j] += offset;
    }
  }

  /** {@code scales[16], qs[64], d, dmin}; {@code d·sc·u − dmin·mn}. */
  private static void q2(MemorySegment in, long at, float[] out) {
    float d = half(in, at + 80);
    float dmin = half(in, at + 82);
    for (int e = 0; e < 256; e++) {
      int scales = u8(in, at + e / 16);
      out[e] = d * (scales & 15) * twoBits(in, at + 16, e) - dmin * (scales >> 4);
    }
  }

  /** {@code hmask[32], qs[64], scales[12], d}; {@code d·(sc − 32)·(u − 4)}. */
  private static void q3(MemorySegment in, long at, float[] out) {
    float d = half(in, at + 108);
    for (int e = 0; e < 256; e++) {
      int j = e / 16;
      int low = u8(in, at + 96 + j % 8) >> (j < 8 ? 0 : 4) & 15;
      int sc = low | (u8(in, at + 104 + j % 4) >> (2 * (j / 4)) & 3) << 4;
      int third = u8(in, at + e % 32) >> (e / 32) & 1;
      out[e] = d * (sc - 32) * (twoBits(in, at + 32, e) + 4 * third - 4);
    }
  }

  /** {@code d, dmin, scales[12], (qh[32],) qs[128]}; {@code d·sc·u − dmin·mn}. */
  private static void q45(MemorySegment in, long at, float[] out, boolean five) {
    float d = half(in, at);
    float dmin = half(in, at + 2);
    long codes = at + 16 + (five ? 32 : 0);
    for (int j = 0; j < 8; j++) {
      int a = u8(in, at + 4 + j);
      int b = u8(in, at + 4 + j % 4 + 4);
      int sc = j < 4 ? a & 63 : (u8(in, at + 8 + j) & 15) | u8(in, at + j) >> 6 << 4;
      int mn = j < 4 ? b & 63 : u8(in, at + 8 + j) >> 4 | b >> 6 << 4;
      float scale = d * sc;
      float offset = dmin * mn;
      for (int l = 0; l < 32; l++) {
        int u = u8(in, codes + 32L * (j / 2) + l) >> (4 * (j % 2)) & 15;
        if (five) {
          u |= (u8(in, at + 16 + l) >> j & 1) << 4;
        }
        out[32 * j + l] = scale * u - offset;
      }
    }
  }

  /** {@code ql[128], qh[64], scales[16], d}; {@code d·sc·(u − 32)}. */
  private static void q6(MemorySegment in, long at, float[] out) {
    float d = half(in, at + 208);
    for (int e = 0; e < 256; e++) {
      int h = e / 128;
      int r = e % 128;
      int low = u8(in, at + 64L * h + r % 64) >> (r < 64 ? 0 : 4) & 15;
      int high = u8(in, at + 128 + 32L * h + r % 32) >> (2 * (r / 32)) & 3;
      out[e] = d * in.get(ValueLayout.JAVA_BYTE, at + 192 + e / 16) * ((low | high << 4) - 32);
    }
  }

  private static int twoBits(MemorySegment in, long codes, int e) {
    int r = e % 128;
    return u8(in, codes + 32L * (e / 128) + r % 32) >> (2 * (r / 32)) & 3;
  }

  private static float half(MemorySegment in, long at) {
    return Float.float16ToFloat(in.get(Elements.HALF, at));
  }

  private static int u8(MemorySegment in, long at) {
    return in.get(ValueLayout.JAVA_BYTE, at) & 0xff;
  }
}
