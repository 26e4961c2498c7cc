package dev.gptq.formats.gguf;

import static dev.gptq.formats.gguf.GgufDecoder.half;

import dev.gptq.formats.packed.Elements;
import dev.gptq.grid.SuperBlock;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * One block of a type with integer codes, taken apart: a code u for each weight, and a scale and an
 * offset for each group of them. A weight is {@code scale·u − offset}, or {@code scale·(u − zero)}
 * in types without offsets.
 *
 * <p>Letters: {@code d} and {@code m} are float16 scale and offset of a block, {@code sc} and
 * {@code mn} the small scale and offset of a group in a block of 256.
 */
final class GgufCodes {
  private final GgufType type;
  private final int bits;
  private final int groupSize;
  private final boolean hasOffsets;
  private final int[] codes;
  private final float[] scales;
  private final float[] offsets;

  GgufCodes(GgufType type) {
    this.type = type;
    boolean large = type.block() == SuperBlock.COLUMNS;
    this.bits =
        switch (type) {
          case Q4_0, Q4_1 -> 4;
          case Q5_0, Q5_1 -> 5;
          case Q8_0 -> 8;
          default -> SuperBlock.valueOf(type.name()).bits();
        };
    this.groupSize = large ? SuperBlock.valueOf(type.name()).groupSize() : type.block();
    this.hasOffsets =
        large
            ? SuperBlock.valueOf(type.name()).hasOffsets()
            : type == GgufType.Q4_1 || type == GgufType.Q5_1;
    this.codes = new int[type.block()];
    this.scales = new float[type.block() / groupSize];
    this.offsets = new float[scales.length];
  }

  /** Whether blocks of the type are codes with scales. */
  static boolean reads(GgufType type) {
    return switch (type) {
      case F32, F16, BF16, MXFP4 -> false;
      default -> true;
    };
  }

  int bits() {
    return bits;
  }

  int groupSize() {
    return groupSize;
  }

  int groups() {
    return scales.length;
  }

  boolean hasOffsets() {
    return hasOffsets;
  }

  /** The code that stands for zero in types without offsets. */
  int zero() {
    return 1 << (bits - 1);
  }

  int code(int weight) {
    return codes[weight];
  }

  float scale(int group) {
    return scales[group];
  }

  float offset(int group) {
    return offsets[group];
  }

  /** Reads the block that begins at a byte. */
  void read(MemorySegment in, long at) {
    switch (type) {
      case Q4_0 -> fours(in, at + 2, at);
      case Q4_1 -> {
        fours(in, at + 4, at);
        offsets[0] = -half(in, at + 2);
      }
      case Q5_0 -> fives(in, at + 2, at);
      case Q5_1 -> {
        fives(in, at + 4, at);
        offsets[0] = -half(in, at + 2);
      }
      case Q8_0 -> {
        scales[0] = half(in, at);
        for (int j = 0; j < codes.length; j++) {
          codes[j] = in.get(ValueLayout.JAVA_BYTE, at + 2 + j) + zero();
        }
      }
      case Q2_K -> q2(in, at);
      case Q3_K -> q3(in, at);
      case Q4_K -> q45(in, at, false);
      case Q5_K -> q45(in, at, true);
      case Q6_K -> q6(in, at);
      default -> throw new IllegalArgumentException(type + " has no codes");
    }
  }

  private void fours(MemorySegment in, long from, long scale) {
    scales[0] = half(in, scale);
    for (int j = 0; j < 16; j++) {
      int both = u8(in, from + j);
      codes[j] = both & 15;
      codes[j + 16] = both >> 4;
    }
  }

  /** Bit j of the 32 bits before the codes is the fifth of weight j. */
  private void fives(MemorySegment in, long from, long scale) {
    fours(in, from + 4, scale);
    int fifth = in.get(Elements.INT, from);
    for (int j = 0; j < codes.length; j++) {
      codes[j] |= (fifth >>> j & 1) << 4;
    }
  }

  /** {@code scales[16], qs[64], d, dmin}. */
  private void q2(MemorySegment in, long at) {
    float d = half(in, at + 80);
    float dmin = half(in, at + 82);
    for (int g = 0; g < scales.length; g++) {
      int both = u8(in, at + g);
      scales[g] = d * (both & 15);
      offsets[g] = dmin * (both >> 4);
    }
    Arrays.setAll(codes, e -> twoBits(in, at + 16, e));
  }

  /** {@code hmask[32], qs[64], scales[12], d}. */
  private void q3(MemorySegment in, long at) {
    float d = half(in, at + 108);
    for (int j = 0; j < scales.length; j++) {
      int low = u8(in, at + 96 + j % 8) >> (j < 8 ? 0 : 4) & 15;
      int sc = low | (u8(in, at + 104 + j % 4) >> (2 * (j / 4)) & 3) << 4;
      scales[j] = d * (sc - 32);
    }
    Arrays.setAll(codes, e -> twoBits(in, at + 32, e) + 4 * (u8(in, at + e % 32) >> (e / 32) & 1));
  }

  /** {@code d, dmin, scales[12], (qh[32],) qs[128]}. */
  private void q45(MemorySegment in, long at, boolean five) {
    float d = half(in, at);
    float dmin = half(in, at + 2);
    long from = at + 16 + (five ? 32 : 0);
    for (int j = 0; j < scales.length; j++) {
      int a = u8(in, at + 4 + j);
      int b = u8(in, at + 4 + j % 4 + 4);
      int sc = j < 4 ? a & 63 : (u8(in, at + 8 + j) & 15) | u8(in, at + j) >> 6 << 4;
      int mn = j < 4 ? b & 63 : u8(in, at + 8 + j) >> 4 | b >> 6 << 4;
      scales[j] = d * sc;
      offsets[j] = dmin * mn;
      for (int l = 0; l < 32; l++) {
        int u = u8(in, from + 32L * (j / 2) + l) >> (4 * (j % 2)) & 15;
        codes[32 * j + l] = five ? u | (u8(in, at + 16 + l) >> j & 1) << 4 : u;
      }
    }
  }

  /** {@code ql[128], qh[64], scales[16], d}. */
  private void q6(MemorySegment in, long at) {
    float d = half(in, at + 208);
    for (int g = 0; g < scales.length; g++) {
      scales[g] = d * in.get(ValueLayout.JAVA_BYTE, at + 192 + g);
    }
    for (int e = 0; e < codes.length; e++) {
      int h = e / 128;
      int r = e % 128;
      int low = u8(in, at + 64L * h + r % 64) >> (r < 64 ? 0 : 4) & 15;
      int high = u8(in, at + 128 + 32L * h + r % 32) >> (2 * (r / 32)) & 3;
      codes[e] = low | high << 4;
    }
  }

  private static int twoBits(MemorySegment in, long from, int e) {
    int r = e % 128;
    return u8(in, from + 32L * (e / 128) + r % 32) >> (2 * (r / 32)) & 3;
  }

  private static int u8(MemorySegment in, long at) {
    return in.get(ValueLayout.JAVA_BYTE, at) & 0xff;
  }
}
