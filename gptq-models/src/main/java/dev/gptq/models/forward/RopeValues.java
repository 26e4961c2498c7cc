package dev.gptq.models.forward;

import dev.gptq.models.family.RopeSpec;
import java.lang.ref.SoftReference;
import java.util.HashMap;
import java.util.Map;

/**
 * Sines and cosines of rotary positions in Java's heap, as long as that has room. The members of a
 * device group have tables of their own, which are filled from the same values, computed once.
 */
public final class RopeValues {
  private final Map<Key, SoftReference<Values>> known = new HashMap<>();

  private record Key(RopeSpec spec, int positions) {}

  /** The values for positions 0 … positions − 1, positions × channel pairs, row by row. */
  static final class Values {
    private final float[] cosines;
    private final float[] sines;

    private Values(float[] cosines, float[] sines) {
      this.cosines = cosines;
      this.sines = sines;
    }

    /** Nobody changes them. */
    float[] cosines() {
      return cosines;
    }

    /** Nobody changes them. */
    float[] sines() {
      return sines;
    }
  }

  /** The values, which others wait for while all processors compute them for one. */
  synchronized Values of(RopeSpec spec, int positions) {
    Key key = new Key(spec, positions);
    SoftReference<Values> last = known.get(key);
    Values values = last == null ? null : last.get();
    if (values == null) {
      values = new Values(spec.cosines(positions), spec.sines(positions));
      known.put(key, new SoftReference<>(values));
    }
    return values;
  }
}
