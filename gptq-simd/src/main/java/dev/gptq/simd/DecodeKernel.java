package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

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
  private static final boolean WIDE = Lanes.BYTES == 64;
  private static final long L = Lanes.BYTES;
  private static final long TILE = 4L * PackedTiles.OUTPUTS;

  private DecodeKernel() {}

  /** Bytes of the buffer of {@link #tile}: the results, and the sums of one group. */
  static long scratchBytes() {
    return 2 * TILE;
  }

  /**
   * Writes the OUTPUTS products of a tile to the start of {@code y}.
   *
   * @param x the activations by slot, divided by the slot's power of two; behind them, for each
   *     group, Σ x and Σ_top x·2^(bits−1) ({@link DecodeInput})
   */
  static void tile(PackedTiles w, int tile, MemorySegment x, MemorySegment y) {
    y.asSlice(0, TILE).fill((byte) 0);
    for (int g = 0; g < w.groups(); g++) {
      int first = w.firstWord(g);
      int rows = w.firstWord(g + 1) - first;
      int perWord = w.slotsPerWord();
      long at = w.wordAt(tile, first);
      long xAt = 4L * first * perWord;
      if (WIDE) {
        DecodeSums8.sums(w.words(), at, rows, perWord, w.bits(), x, xAt, y, TILE);
      } else {
        DecodeSums4.sums(w.words(), at, rows, perWord, w.bits(), x, xAt, y, TILE);
        DecodeSums4.sums(w.words(), at + 4 * L, rows, perWord, w.bits(), x, xAt, y, TILE + 4 * L);
      }
      finish(w, tile, g, x, y);
    }
  }

  /** Applies scale and zero point to the sums of a group and adds them to the results. */
  private static void finish(PackedTiles w, int tile, int g, MemorySegment x, MemorySegment y) {
    long sums = 4L * w.slots() + 8L * g;
    float sum = x.get(Lanes.FLOAT, sums);
    FloatVector less = FloatVector.broadcast(Lanes.F, -sum);
    FloatVector top = FloatVector.broadcast(Lanes.F, x.get(Lanes.FLOAT, sums + 4));
    FloatVector fixed = FloatVector.broadcast(Lanes.F, w.fixedZero());
    MemorySegment zeros = w.zeros().orElse(null);
    long at = w.scaleAt(tile, g);
    for (long lane = 0; lane < TILE; lane += L) {
      FloatVector zero = zeros == null ? fixed : Lanes.load(zeros, at + lane);
      FloatVector product = zero.fma(less, top).add(Lanes.load(y, TILE + lane));
      FloatVector scale = Lanes.load(w.scales(), at + lane);
      Lanes.store(scale.fma(product, Lanes.load(y, lane)), y, lane);
    }
  }
}
