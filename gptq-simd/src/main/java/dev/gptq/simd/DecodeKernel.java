package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * One row of activations times one tile of packed weights, {@code y[o] = Σ_i x[i]·s·(u[o][i] − z)}.
 * Codes are never shifted: a code in place, masked and converted, is {@code u·2^p}, and x comes
 * divided by that power. Scale and zero point act once a group:
 *
 * <pre>
 *   y[o] = Σ_g s·(Σ_i x_i·c_i − z·Σ_i x_i + Σ_top x_i·2^(bits−1))
 * </pre>
 *
 * c_i being the stored number, which for slots at the sign bit is {@code u − 2^(bits−1)}.
 */
final class DecodeKernel {
  private static final long L = Lanes.BYTES;

  private DecodeKernel() {}

  /**
   * Writes the OUTPUTS products of a tile to {@code y}.
   *
   * @param x the activations by slot, divided by the slot's power of two; behind them, for each
   *     group, Σ x and Σ_top x·2^(bits−1) ({@link DecodeInput})
   */
  static void tile(PackedTiles w, int tile, MemorySegment x, MemorySegment y) {
    y.asSlice(0, 8 * L).fill((byte) 0);
    for (int g = 0; g < w.groups(); g++) {
      group(w, tile, g, x, y);
    }
  }

  private static void group(PackedTiles w, int tile, int g, MemorySegment x, MemorySegment y) {
    MemorySegment words = w.words();
    int perWord = w.slotsPerWord();
    int bits = w.bits();
    int first = w.firstWord(g);
    int rows = w.firstWord(g + 1) - first;
    long wordsAt = w.wordAt(tile, first);
    long xAt = 4L * first * perWord;
    FloatVector s0 = FloatVector.zero(Lanes.F);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    FloatVector s4 = s0;
    FloatVector s5 = s0;
    FloatVector s6 = s0;
    FloatVector s7 = s0;
    for (int row = 0; row < rows; row++) {
      long at = wordsAt + row * (8 * L);
      IntVector w0 = words(words, at);
      IntVector w1 = words(words, at + L);
      IntVector w2 = words(words, at + 2 * L);
      IntVector w3 = words(words, at + 3 * L);
      IntVector w4 = words(words, at + 4 * L);
      IntVector w5 = words(words, at + 5 * L);
      IntVector w6 = words(words, at + 6 * L);
      IntVector w7 = words(words, at + 7 * L);
      int mask = (1 << bits) - 1;
      for (int i = 0; i < perWord; i++, mask <<= bits, xAt += 4) {
        FloatVector xi = Lanes.broadcast(x, xAt);
        IntVector m = IntVector.broadcast(Lanes.I, mask);
        s0 = Lanes.toFloat(w0.and(m)).fma(xi, s0);
        s1 = Lanes.toFloat(w1.and(m)).fma(xi, s1);
        s2 = Lanes.toFloat(w2.and(m)).fma(xi, s2);
        s3 = Lanes.toFloat(w3.and(m)).fma(xi, s3);
        s4 = Lanes.toFloat(w4.and(m)).fma(xi, s4);
        s5 = Lanes.toFloat(w5.and(m)).fma(xi, s5);
        s6 = Lanes.toFloat(w6.and(m)).fma(xi, s6);
        s7 = Lanes.toFloat(w7.and(m)).fma(xi, s7);
      }
    }
    long sums = 4L * w.slots() + 8L * g;
    float sum = x.get(Lanes.FLOAT, sums);
    FloatVector top = FloatVector.broadcast(Lanes.F, x.get(Lanes.FLOAT, sums + 4));
    long scale = w.scaleAt(tile, g);
    MemorySegment scales = w.scales();
    if (w.zeros().isEmpty()) {
      FloatVector shift = top.sub(w.fixedZero() * sum);
      add(y, 0, scales, scale, s0.add(shift));
      add(y, L, scales, scale, s1.add(shift));
      add(y, 2 * L, scales, scale, s2.add(shift));
      add(y, 3 * L, scales, scale, s3.add(shift));
      add(y, 4 * L, scales, scale, s4.add(shift));
      add(y, 5 * L, scales, scale, s5.add(shift));
      add(y, 6 * L, scales, scale, s6.add(shift));
      add(y, 7 * L, scales, scale, s7.add(shift));
    } else {
      MemorySegment zeros = w.zeros().get();
      FloatVector less = FloatVector.broadcast(Lanes.F, -sum);
      add(y, 0, scales, scale, Lanes.load(zeros, scale).fma(less, top).add(s0));
      add(y, L, scales, scale, Lanes.load(zeros, scale + L).fma(less, top).add(s1));
      add(y, 2 * L, scales, scale, Lanes.load(zeros, scale + 2 * L).fma(less, top).add(s2));
      add(y, 3 * L, scales, scale, Lanes.load(zeros, scale + 3 * L).fma(less, top).add(s3));
      add(y, 4 * L, scales, scale, Lanes.load(zeros, scale + 4 * L).fma(less, top).add(s4));
      add(y, 5 * L, scales, scale, Lanes.load(zeros, scale + 5 * L).fma(less, top).add(s5));
      add(y, 6 * L, scales, scale, Lanes.load(zeros, scale + 6 * L).fma(less, top).add(s6));
      add(y, 7 * L, scales, scale, Lanes.load(zeros, scale + 7 * L).fma(less, top).add(s7));
    }
  }

  private static IntVector words(MemorySegment words, long at) {
    return IntVector.fromMemorySegment(Lanes.I, words, at, Lanes.ORDER);
  }

  private static void add(
      MemorySegment y, long at, MemorySegment scales, long scale, FloatVector sum) {
    Lanes.store(Lanes.load(scales, scale + at).fma(sum, Lanes.load(y, at)), y, at);
  }
}
