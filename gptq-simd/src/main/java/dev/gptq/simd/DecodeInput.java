package dev.gptq.simd;

import java.lang.foreign.MemorySegment;

/** A row of activations in the form that {@link DecodeKernel} reads. */
final class DecodeInput {
  private DecodeInput() {}

  /** Bytes of a prepared row. */
  static long bytes(PackedTiles w) {
    return 4L * w.slots() + 8L * w.groups();
  }

  /** Prepares row t of x: by slot, divided by the slot's power of two, then the groups' sums. */
  static void prepare(PackedTiles w, Matrix x, int t, MemorySegment target) {
    int perWord = w.slotsPerWord();
    float topUnit = w.flip() == 0 ? 0 : 1 << (w.bits() - 1);
    long row = x.at(t, 0);
    for (int g = 0; g < w.groups(); g++) {
      double sum = 0;
      double top = 0;
      for (int slot = w.firstWord(g) * perWord; slot < w.firstWord(g + 1) * perWord; slot++) {
        int input = w.input(slot);
        float value = input < 0 ? 0 : x.segment().get(Lanes.FLOAT, row + 4L * input);
        int place = slot % perWord;
        target.set(Lanes.FLOAT, 4L * slot, value * unit(-place * w.bits()));
        sum += value;
        if (place == perWord - 1) {
          top += value;
        }
      }
      target.set(Lanes.FLOAT, 4L * w.slots() + 8L * g, (float) sum);
      target.set(Lanes.FLOAT, 4L * w.slots() + 8L * g + 4, (float) (topUnit * top));
    }
  }

  /** {@code 2^exponent}. */
  private static float unit(int exponent) {
    return Float.intBitsToFloat((exponent + 127) << 23);
  }
}
