package dev.gptq.nativekernels;

import dev.gptq.simd.kernels.RoundedWeights;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The formula of {@link dev.gptq.simd.kernels.RoundedKernels}, one output after the other. */
final class PlainProduct {
  private PlainProduct() {}

  /** Output o of a row of activations. */
  static float of(RoundedWeights w, MemorySegment x, int o) {
    int tile = o / w.width();
    int lane = o % w.width();
    int middle = 1 << (w.bits() - 1);
    float y = 0;
    float[] sums = new float[w.groups()];
    for (int c = 0; c < w.chunks(); c++) {
      float max = 0;
      for (int i = 0; i < 32; i++) {
        max = Math.max(max, Math.abs(at(x, 32L * c + i)));
      }
      int product = 0;
      int sum = 0;
      for (int i = 0; i < 32; i++) {
        int code = code(w, tile, c, i, lane);
        int q = (int) Math.rint(at(x, 32L * c + i) * (127 / max));
        product += q * (code - middle);
        sum += q;
      }
      int group = w.groupOfChunk().getAtIndex(ValueLayout.JAVA_INT, c);
      float scale = max / 127;
      y = Math.fma((float) product, at(w.scales(), grid(w, tile, group, lane)) * scale, y);
      sums[group] += scale * sum;
    }
    if (w.zeros().isEmpty() && w.fixedZero() == middle) {
      return y;
    }
    for (int g = 0; g < w.groups(); g++) {
      float s = at(w.scales(), grid(w, tile, g, lane));
      y =
          w.zeros().isPresent()
              ? Math.fma(s * (middle - at(w.zeros().get(), grid(w, tile, g, lane))), sums[g], y)
              : Math.fma(s, (middle - w.fixedZero()) * sums[g], y);
    }
    return y;
  }

  private static int code(RoundedWeights w, int tile, int chunk, int slot, int lane) {
    if (32 % w.bits() == 0) {
      int perWord = 32 / w.bits();
      int word = word(w, tile, chunk, slot / perWord, lane);
      return word >>> (w.bits() * (slot % perWord)) & (1 << w.bits()) - 1;
    }
    int code = 0;
    int offset = 0;
    for (int size : new int[] {4, 2, 1}) {
      if ((w.bits() & size) != 0) {
        // Four slots to a place, so many of these to a byte.
        int word = word(w, tile, chunk, offset + slot / (32 / size), lane);
        int from = slot % 4 * 8 + slot / 4 % (8 / size) * size;
        code |= (word >>> from & (1 << size) - 1) << offset;
        offset += size;
      }
    }
    return code;
  }

  private static int word(RoundedWeights w, int tile, int chunk, int row, int lane) {
    long rows = (long) w.bits() * (tile * w.chunks() + chunk) + row;
    return w.words().getAtIndex(ValueLayout.JAVA_INT, rows * w.width() + lane);
  }

  private static long grid(RoundedWeights w, int tile, int group, int lane) {
    return ((long) tile * w.groups() + group) * w.width() + lane;
  }

  private static float at(MemorySegment values, long index) {
    return values.getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }
}
