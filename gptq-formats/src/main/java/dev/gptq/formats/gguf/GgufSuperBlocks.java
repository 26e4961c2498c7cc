package dev.gptq.formats.gguf;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.Elements;
import dev.gptq.grid.SuperBlock;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * Packed matrices as blocks of 256 weights whose scales are quantized themselves. A matrix holds
 * their products only; which float16 number and integers they are products of is found again, and
 * where several are, any of them gives the same weights.
 */
final class GgufSuperBlocks {
  private final String module;
  private final SuperBlock type;
  private final PackedMatrix matrix;
  private final int[] c;
  private final int[] o;

  GgufSuperBlocks(String module, SuperBlock type, PackedMatrix matrix) {
    this.module = module;
    this.type = type;
    this.matrix = matrix;
    this.c = new int[type.groups()];
    this.o = new int[type.groups()];
  }

  /** The blocks that may hold a matrix, by its grid; whether they hold its scales is seen later. */
  static Optional<SuperBlock> find(PackedMatrix matrix) {
    for (SuperBlock type : SuperBlock.values()) {
      boolean alike =
          matrix.bits() == type.bits()
              && matrix.scheme() == type.scheme()
              && matrix.groupOf().isEmpty()
              && matrix.groupSize() == type.groupSize()
              && matrix.columns() % SuperBlock.COLUMNS == 0;
      if (alike && (type.groupSize() < 32 || !hasHalves(matrix))) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }

  /** Whether all scales are float16 and all zero points integers, as blocks of 32 want them. */
  private static boolean hasHalves(PackedMatrix matrix) {
    for (int o = 0; o < matrix.rows(); o++) {
      for (int g = 0; g < matrix.groups(); g++) {
        float scale = matrix.scale(o, g);
        float zero = matrix.zero(o, g);
        if (half(scale) != scale || (int) zero != zero) {
          return false;
        }
      }
    }
    return true;
  }

  /** Fills the block of a row that begins at a column. */
  void encode(MemorySegment block, int row, int from) {
    int first = from / type.groupSize();
    float d = unit(row, first);
    float e = type.hasOffsets() ? offsetUnit(row, first) : 0;
    switch (type) {
      case Q2_K -> {
        for (int j = 0; j < 16; j++) {
          put(block, j, c[j] | (o[j] << 4));
        }
        twoBits(block, 16, row, from);
        put(block, 80, d);
        put(block, 82, e);
      }
      case Q3_K -> {
        for (int i = 0; i < SuperBlock.COLUMNS; i++) {
          or(block, i % 32, (matrix.code(row, from + i) >> 2) << (i / 32));
        }
        twoBits(block, 32, row, from);
        for (int j = 0; j < 16; j++) {
          int stored = c[j] + 32;
          or(block, 96 + j % 8, (stored & 15) << (j < 8 ? 0 : 4));
          or(block, 104 + j % 4, (stored >> 4) << (2 * (j / 4)));
        }
        put(block, 108, d);
      }
      case Q4_K -> {
        sixBitScales(block, d, e);
        fourBits(block, 16, row, from);
      }
      case Q5_K -> {
        sixBitScales(block, d, e);
        for (int i = 0; i < SuperBlock.COLUMNS; i++) {
          or(block, 16 + i % 32, (matrix.code(row, from + i) >> 4) << (i / 32));
        }
        fourBits(block, 48, row, from);
      }
      case Q6_K -> {
        for (int i = 0; i < SuperBlock.COLUMNS; i++) {
          int h = i / 128;
          int r = i % 128;
          int code = matrix.code(row, from + i);
          or(block, 64 * h + r % 64, (code & 15) << (r < 64 ? 0 : 4));
          or(block, 128 + 32 * h + r % 32, (code >> 4) << (2 * (r / 32)));
        }
        for (int j = 0; j < 16; j++) {
          block.set(ValueLayout.JAVA_BYTE, 192 + j, (byte) c[j]);
        }
        put(block, 208, d);
      }
    }
  }

  /** Both float16 numbers, and scales and offsets of 6 bits in 12 bytes. */
  private void sixBitScales(MemorySegment block, float d, float e) {
    put(block, 0, d);
    put(block, 2, e);
    for (int j = 0; j < 8; j++) {
      if (j < 4) {
        or(block, 4 + j, c[j]);
        or(block, 8 + j, o[j]);
      } else {
        or(block, 8 + j, (c[j] & 15) | ((o[j] & 15) << 4));
        or(block, j, (c[j] >> 4) << 6);
        or(block, 4 + j, (o[j] >> 4) << 6);
      }
    }
  }

  /** The lower four bits of all codes, in chunks of 64. */
  private void fourBits(MemorySegment block, int at, int row, int from) {
    for (int i = 0; i < SuperBlock.COLUMNS; i++) {
      int r = i % 64;
      int low = matrix.code(row, from + i) & 15;
      or(block, at + 32 * (i / 64) + r % 32, low << (r < 32 ? 0 : 4));
    }
  }

  /** The lower two bits of all codes. */
  private void twoBits(MemorySegment block, int at, int row, int from) {
    for (int i = 0; i < SuperBlock.COLUMNS; i++) {
      int r = i % 128;
      int low = matrix.code(row, from + i) & 3;
      or(block, at + 32 * (i / 128) + r % 32, low << (2 * (r / 32)));
    }
  }

  /** The float16 number of which all scales of a block are products, with the integers. */
  private float unit(int row, int first) {
    float largest = 0;
    for (int g = first; g < first + type.groups(); g++) {
      float scale = matrix.scale(row, g);
      largest = Math.abs(scale) > Math.abs(largest) ? scale : largest;
    }
    int widest = Math.max(type.mostScale(), -type.leastScale());
    for (int k = widest; k > 0; k--) {
      for (int sign = -1; sign <= 1; sign += 2) {
        float d = half(sign * largest / k);
        if (sign * k >= type.leastScale() && sign * k <= type.mostScale() && fits(d, row, first)) {
          return d;
        }
      }
    }
    throw none(largest, row);
  }

  private boolean fits(float d, int row, int first) {
    for (int g = 0; g < c.length; g++) {
      float scale = matrix.scale(row, first + g);
      c[g] = (int) Math.rint(scale / d);
      if (d * c[g] != scale || c[g] < type.leastScale() || c[g] > type.mostScale()) {
        return false;
      }
    }
    return d != 0;
  }

  /** The float16 number of which all offsets of a block are products, with the integers. */
  private float offsetUnit(int row, int first) {
    double largest = 0;
    for (int g = first; g < first + type.groups(); g++) {
      largest = Math.max(largest, offset(row, g));
    }
    for (int k = type.mostScale(); k > 0; k--) {
      float e = half((float) (largest / k));
      if (offsetsFit(e, row, first)) {
        return e;
      }
    }
    throw none((float) largest, row);
  }

  private boolean offsetsFit(float e, int row, int first) {
    for (int g = 0; g < o.length; g++) {
      o[g] = e == 0 ? 0 : (int) Math.rint(offset(row, first + g) / e);
      // The zero point is what this very quotient was rounded to.
      float zero = e * o[g] / matrix.scale(row, first + g);
      if (zero != matrix.zero(row, first + g) || o[g] < 0 || o[g] > type.mostScale()) {
        return false;
      }
    }
    return true;
  }

  private double offset(int row, int g) {
    return (double) matrix.scale(row, g) * matrix.zero(row, g);
  }

  private BadInputException none(float value, int row) {
    return new BadInputException(
        "module '%s': the scales of row %d, of which %s is the largest, do not fit blocks of %s;"
                .formatted(module, row, value, type)
            + " quantize for them with --type "
            + type);
  }

  private static float half(float value) {
    return Float.float16ToFloat(Float.floatToFloat16(value));
  }

  private static void put(MemorySegment block, int at, int value) {
    block.set(ValueLayout.JAVA_BYTE, at, (byte) value);
  }

  private static void or(MemorySegment block, int at, int bits) {
    put(block, at, block.get(ValueLayout.JAVA_BYTE, at) | bits);
  }

  private static void put(MemorySegment block, int at, float value) {
    block.set(Elements.HALF, at, Float.floatToFloat16(value));
  }
}
