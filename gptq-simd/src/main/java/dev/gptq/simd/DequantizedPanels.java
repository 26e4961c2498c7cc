package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Packed weights as the right operand of {@link Gemm}: {@code B[slot][o] = s·(u − z)}, written
 * straight into the panels of the product.
 */
final class DequantizedPanels implements Gemm.Panels {
  private static final int WIDTH = GemmKernel.COLUMNS;

  private final PackedTiles weights;

  DequantizedPanels(PackedTiles weights) {
    this.weights = weights;
  }

  @Override
  public void pack(int j0, int j1, int k0, int k1, float[] target, int start) {
    int at = start;
    for (int j = j0; j < j1; j += WIDTH, at += WIDTH * (k1 - k0)) {
      for (int lane = 0; lane < WIDTH; lane += Lanes.COUNT) {
        int tile = (j + lane) / PackedTiles.OUTPUTS;
        // Outputs are padded to whole tiles, panels are not: the last may reach beyond.
        if (tile < weights.tiles()) {
          long first = 4L * ((j + lane) % PackedTiles.OUTPUTS);
          panel(tile, first, k0, k1, target, at + lane);
        }
      }
    }
  }

  /** One vector of outputs, slots k0 … k1 − 1. */
  private void panel(int tile, long lane, int k0, int k1, float[] target, int start) {
    int perWord = weights.slotsPerWord();
    int bits = weights.bits();
    int mask = (1 << bits) - 1;
    int group = 0;
    int k = k0;
    while (k < k1) {
      int row = k / perWord;
      while (weights.firstWord(group + 1) <= row) {
        group++;
      }
      int end = Math.min(k1, weights.firstWord(group + 1) * perWord);
      FloatVector scale = Lanes.load(weights.scales(), weights.scaleAt(tile, group) + lane);
      FloatVector zero =
          weights.zeros().isEmpty()
              ? FloatVector.broadcast(Lanes.F, weights.fixedZero())
              : Lanes.load(weights.zeros().get(), weights.scaleAt(tile, group) + lane);
      for (; k < end; row++) {
        IntVector word = Lanes.loadInts(weights.words(), weights.wordAt(tile, row) + lane);
        int last = Math.min(end, (row + 1) * perWord);
        for (; k < last; k++) {
          int shift = (k - row * perWord) * bits;
          IntVector code = word.lanewise(VectorOperators.LSHR, shift).and(mask);
          FloatVector value = scale.mul(Lanes.toFloat(code).sub(zero));
          value.intoArray(target, start + WIDTH * (k - k0));
        }
      }
    }
  }
}
