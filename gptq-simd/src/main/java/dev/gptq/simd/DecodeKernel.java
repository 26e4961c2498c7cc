package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/**
 * One row of activations times one tile of packed weights, {@code y[o] = Σ_i x[i]·s·(u[o][i] − z)}.
 * All codes of a word but the last are never shifted: a code in place, masked and converted, is
 * {@code u·2^p}, and x comes divided by that power. Scale and zero point act once a group:
 *
 * <pre>
 *   y[o] = Σ_g s·(Σ_i x_i·u_i − z·Σ_i x_i)
 * </pre>
 */
final class DecodeKernel {
  private static final int OUTPUTS = PackedTiles.OUTPUTS;

  /** Floats of the buffer of {@link #tile}: the results, and the sums of one group. */
  static final int SCRATCH = 2 * OUTPUTS;

  private DecodeKernel() {}

  /**
   * Writes the OUTPUTS products of a tile to the start of {@code y}.
   *
   * @param x the activations by slot, divided by the slot's power of two; behind them each group's
   *     Σ x ({@link DecodeInput})
   */
  static void tile(PackedTiles w, int tile, float[] x, float[] y) {
    Arrays.fill(y, 0, OUTPUTS, 0f);
    int perWord = w.slotsPerWord();
    for (int g = 0; g < w.groups(); g++) {
      int first = w.firstWord(g);
      int rows = w.firstWord(g + 1) - first;
      long at = w.wordAt(tile, first);
      int slot = first * perWord;
      DecodeSums.sums(w.words(), at, rows, perWord, w.bits(), x, slot, y, OUTPUTS);
      finish(w, tile, g, x, y);
    }
  }

  /** Applies scale and zero point to the sums of a group and adds them to the results. */
  private static void finish(PackedTiles w, int tile, int g, float[] x, float[] y) {
    FloatVector less = FloatVector.broadcast(Lanes.F, -x[w.slots() + g]);
    FloatVector fixed = FloatVector.broadcast(Lanes.F, w.fixedZero());
    MemorySegment zeros = w.zeros().orElse(null);
    long at = w.scaleAt(tile, g);
    for (int lane = 0; lane < OUTPUTS; lane += Lanes.COUNT) {
      FloatVector zero = zeros == null ? fixed : Lanes.load(zeros, at + 4L * lane);
      FloatVector sum = FloatVector.fromArray(Lanes.F, y, OUTPUTS + lane);
      FloatVector product = zero.fma(less, sum);
      FloatVector scale = Lanes.load(w.scales(), at + 4L * lane);
      scale.fma(product, FloatVector.fromArray(Lanes.F, y, lane)).intoArray(y, lane);
    }
  }
}
