package dev.gptq.simd;

/** A row of activations in the form that {@link DecodeKernel} reads. */
final class DecodeInput {
  private DecodeInput() {}

  /** Floats of a prepared row. */
  static int length(PackedTiles w) {
    return w.slots() + 2 * w.groups();
  }

  /** Prepares row t of x: by slot, divided by the slot's power of two, then the groups' sums. */
  static void prepare(PackedTiles w, Matrix x, int t, float[] target) {
    int perWord = w.slotsPerWord();
    float topUnit = w.flip() == 0 ? 0 : 1 << (w.bits() - 1);
    float[] units = new float[perWord];
    for (int place = 0; place < perWord; place++) {
      units[place] = unit(-place * w.bits());
    }
    long row = x.at(t, 0);
    for (int g = 0; g < w.groups(); g++) {
      double sum = 0;
      double top = 0;
      int slot = w.firstWord(g) * perWord;
      for (int word = w.firstWord(g); word < w.firstWord(g + 1); word++) {
        float value = 0;
        for (int place = 0; place < perWord; place++, slot++) {
          int input = w.input(slot);
          value = input < 0 ? 0 : x.segment().get(Lanes.FLOAT, row + 4L * input);
          target[slot] = value * units[place];
          sum += value;
        }
        top += value;
      }
      target[w.slots() + 2 * g] = (float) sum;
      target[w.slots() + 2 * g + 1] = (float) (topUnit * top);
    }
  }

  /** {@code 2^exponent}. */
  private static float unit(int exponent) {
    return Float.intBitsToFloat((exponent + 127) << 23);
  }
}
