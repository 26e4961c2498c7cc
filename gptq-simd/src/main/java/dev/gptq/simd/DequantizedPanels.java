package dev.gptq.simd;

import java.lang.foreign.MemorySegment;
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
  public void pack(int j0, int j1, int k0, int k1, int worker, MemorySegment target, long offset) {
    for (int j = j0; j < j1; j += WIDTH, offset += 4L * WIDTH * (k1 - k0)) {
      int tile = j / PackedTiles.OUTPUTS;
      long lane = 4L * (j % PackedTiles.OUTPUTS);
      panel(tile, lane, k0, k1, target, offset);
      panel(tile, lane + Lanes.BYTES, k0, k1, target, offset + Lanes.BYTES);
    }
  }

  /** One vector of outputs, slots k0 … k1 − 1. */
  private void panel(int tile, long lane, int k0, int k1, MemorySegment target, long offset) {
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
        IntVector word =
            Lanes.loadInts(weights.words(), weights.wordAt(tile, row) + lane)
                .lanewise(VectorOperators.XOR, weights.flip());
        int last = Math.min(end, (row + 1) * perWord);
        for (; k < last; k++) {
          int shift = (k - row * perWord) * bits;
          IntVector code = word.lanewise(VectorOperators.LSHR, shift).and(mask);
          FloatVector value = scale.mul(Lanes.toFloat(code).sub(zero));
          Lanes.store(value, target, offset + 4L * WIDTH * (k - k0));
        }
      }
    }
  }
}
