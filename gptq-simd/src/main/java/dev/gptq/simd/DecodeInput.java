package dev.gptq.simd;

/** A row of activations in the form that {@link DecodeKernel} reads. */
final class DecodeInput {
  private DecodeInput() {}

  /** Floats of a prepared row. */
  static int length(PackedTiles w) {
    return w.slots() + w.groups();
  }

  /** Prepares row t of x: by slot, divided by the slot's power of two, then the groups' sums. */
  static void prepare(PackedTiles w, Matrix x, int t, float[] target) {
    int perWord = w.slotsPerWord();
    float[] units = new float[perWord];
    for (int place = 0; place < perWord - 1; place++) {
      units[place] = unit(-place * w.bits());
    }
    units[perWord - 1] = 1;
    long row = x.at(t, 0);
    for (int g = 0; g < w.groups(); g++) {
      double sum = 0;
      int slot = w.firstWord(g) * perWord;
      for (int word = w.firstWord(g); word < w.firstWord(g + 1); word++) {
        for (int place = 0; place < perWord; place++, slot++) {
          float value = w.activation(x.segment(), row, slot);
          target[slot] = value * units[place];
          sum += value;
        }
      }
      target[w.slots() + g] = (float) sum;
    }
  }

  /** {@code 2^exponent}. */
  private static float unit(int exponent) {
    return Float.intBitsToFloat((exponent + 127) << 23);
  }
}
