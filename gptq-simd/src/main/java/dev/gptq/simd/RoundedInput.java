package dev.gptq.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Activations rounded to 8 bits: a row as {@link RoundedKernel} reads it, or as numbers. Each chunk
 * of {@link #INPUTS} slots has its own scale {@code max|x|/127}, and {@code q = rint(x/scale)} in
 * −127 … 127.
 *
 * <p>The kernel multiplies whole shifted words, not codes: the code of slot i is {@code (w >> 4i) −
 * 16·(w >> 4(i + 1))} modulo 2^16, so that {@code Σ q_i·u_i = Σ (q_i − 16·q_(i−1))·(w >> 4i)}.
 * Factors of slots i and i + 4 share an integer, as the two halves of a word meet them in one
 * product. In front of a chunk's factors stands what the sum begins with, {@code −8·Σ q}.
 */
final class RoundedInput {
  /** Slots of a chunk. */
  static final int INPUTS = 8 * PackedTiles.CHUNK;

  /** Integers of a chunk. */
  static final int FACTORS = 1 + INPUTS / 2;

  // Adding it leaves the nearest integer in the low bits of a float32.
  private static final float SHIFTER = 0x1.8p23f;

  // Below, 127/max is not finite; such activations are zero beside any other.
  private static final float LEAST = 0x1p-118f;

  private RoundedInput() {}

  /** Integers of a prepared row. */
  static int factors(PackedTiles w) {
    return FACTORS * w.groupOfChunk().length;
  }

  /** Floats of a prepared row: the chunks' scales, then each group's {@code Σ scale·q}. */
  static int scales(PackedTiles w) {
    return w.groupOfChunk().length + w.groups();
  }

  /**
   * Rounds row t of x.
   *
   * @param slots scratch of {@code INPUTS} floats
   */
  static void prepare(
      PackedTiles w, Matrix x, int t, int[] factors, float[] scales, float[] slots) {
    int[] groups = w.groupOfChunk();
    for (int g = 0; g < w.groups(); g++) {
      scales[groups.length + g] = 0;
    }
    for (int chunk = 0; chunk < groups.length; chunk++) {
      load(w, x, t, chunk * INPUTS, slots);
      float scale = round(slots);
      int sum = factors(slots, factors, chunk * FACTORS);
      scales[chunk] = scale;
      scales[groups.length + groups[chunk]] += scale * sum;
    }
  }

  /**
   * Rounds row t of x to {@code scale·q} in row t of a matrix of slots.
   *
   * @param chunk scratch of {@code INPUTS} floats
   */
  static void expand(PackedTiles w, Matrix x, int t, Matrix slots, float[] chunk) {
    for (int first = 0; first < slots.columns(); first += INPUTS) {
      load(w, x, t, first, chunk);
      float scale = round(chunk);
      for (int i = 0; i < INPUTS; i += Lanes.COUNT) {
        FloatVector q = FloatVector.fromArray(Lanes.F, chunk, i);
        Lanes.store(q.mul(scale), slots.segment(), slots.at(t, first + i));
      }
    }
  }

  private static void load(PackedTiles w, Matrix x, int t, int first, float[] slots) {
    long row = x.at(t, 0);
    if (w.slotsAreInputs()) {
      for (int i = 0; i < INPUTS; i += Lanes.COUNT) {
        Lanes.load(x.segment(), row + 4L * (first + i)).intoArray(slots, i);
      }
      return;
    }
    for (int i = 0; i < INPUTS; i++) {
      slots[i] = w.activation(x.segment(), row, first + i);
    }
  }

  /** Replaces the slots by their integers and returns the scale; NaN if one is not finite. */
  private static float round(float[] slots) {
    FloatVector most = FloatVector.zero(Lanes.F);
    FloatVector check = most;
    for (int i = 0; i < INPUTS; i += Lanes.COUNT) {
      FloatVector v = FloatVector.fromArray(Lanes.F, slots, i);
      most = most.max(v.abs());
      check = v.mul(0f).add(check);
    }
    float max = most.reduceLanes(VectorOperators.MAX);
    float factor = max < LEAST ? 0 : 127 / max;
    for (int i = 0; i < INPUTS; i += Lanes.COUNT) {
      FloatVector v = FloatVector.fromArray(Lanes.F, slots, i);
      v.mul(factor).add(SHIFTER).sub(SHIFTER).intoArray(slots, i);
    }
    return (max < LEAST ? 0 : max / 127) + (float) Lanes.sum(check);
  }

  /** Stores the factors of a chunk and returns the sum of its integers. */
  private static int factors(float[] slots, int[] factors, int start) {
    int sum = 0;
    for (int word = 0; word < PackedTiles.CHUNK; word++) {
      int at = start + 1 + 4 * word;
      int before = 0;
      for (int i = 0; i < 4; i++) {
        int low = (int) slots[8 * word + i];
        factors[at + i] = (low - 16 * before) & 0xffff;
        before = low;
        sum += low;
      }
      for (int i = 0; i < 4; i++) {
        int high = (int) slots[8 * word + 4 + i];
        factors[at + i] |= (high - 16 * before) << 16;
        before = high;
        sum += high;
      }
    }
    factors[start] = (-8 * sum) & 0xffff;
    return sum;
  }
}
