package dev.gptq.simd;

import dev.gptq.grid.GridSpec;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** Rounding of lanes: to integers, to codes, to the stored type of scales. Bits as specified. */
final class Rounding {
  /** What {@link #rint} adds and takes off again. */
  static final float MAGIC = 0x1.8p23f;

  private static final int HALF_BITS = 11;
  private static final int BRAIN_BITS = 8;
  private static final int MAGIC_BITS = Float.floatToRawIntBits(MAGIC);

  private Rounding() {}

  /**
   * {@code rint(x)}. Exact for |x| &lt; 2²²: the sum with 1.5·2²³ has no bits left for a fraction,
   * and addition rounds half to even. Larger values may move by one unit; codes and exponents are
   * clamped far below that. A zero result is +0.
   */
  static FloatVector rint(FloatVector x) {
    FloatVector magic = FloatVector.broadcast(Lanes.F, MAGIC);
    return x.add(magic).sub(magic);
  }

  /** {@code floor(x)}, in the range of {@link #rint}. */
  static FloatVector floor(FloatVector x) {
    FloatVector nearest = rint(x);
    VectorMask<Float> above = nearest.compare(VectorOperators.GT, x);
    return nearest.sub(1f, above);
  }

  /**
   * Codes as floats: {@code clamp(round(w/s) + z, minCode, maxCode)}; 0 where w and s are zero, as
   * the conversion of NaN to an integer would have it.
   */
  static FloatVector codes(
      FloatVector w,
      FloatVector scale,
      FloatVector zero,
      boolean midRise,
      float least,
      float most) {
    FloatVector t = w.div(scale);
    FloatVector rounded = midRise ? floor(t).add(0.5f) : rint(t);
    VectorMask<Float> none = t.compare(VectorOperators.NE, t);
    return clamp(rounded.add(zero), least, most).blend(0f, none);
  }

  /**
   * {@code clamp(x, least, most)} for bounds that are not negative and x that is not NaN. Such
   * floats are in the order of their bits; the maximum of floats takes five instructions, that of
   * integers one.
   */
  static FloatVector clamp(FloatVector x, float least, float most) {
    IntVector bits = x.reinterpretAsInts();
    int low = Float.floatToRawIntBits(least);
    int high = Float.floatToRawIntBits(most);
    return bits.max(low).min(high).reinterpretAsFloats();
  }

  /** Integers from floats that are integers of magnitude under 2²². */
  static IntVector toInt(FloatVector x) {
    return x.add(MAGIC).reinterpretAsInts().sub(MAGIC_BITS);
  }

  /** {@link GridSpec#roundScale}. */
  static FloatVector scale(FloatVector scale, GridSpec spec) {
    return switch (spec.scaleType()) {
      case F32 -> significant(scale, spec.scaleBits());
      case F16 -> {
        IntVector sign = scale.reinterpretAsInts().and(Integer.MIN_VALUE);
        FloatVector x = clamp(scale.abs(), GridSpec.SMALLEST_SCALE, spec.largestScale());
        FloatVector rounded = half(significant(x, spec.scaleBits()));
        yield rounded.reinterpretAsInts().or(sign).reinterpretAsFloats();
      }
      case BF16 -> significant(significant(scale, spec.scaleBits()), BRAIN_BITS);
      default -> throw new IllegalStateException("unreachable: " + spec.scaleType());
    };
  }

  /** Rounded to so many significant bits, to nearest, ties to even. */
  private static FloatVector significant(FloatVector x, int significantBits) {
    int drop = GridSpec.ALL_SCALE_BITS - significantBits;
    if (drop == 0) {
      return x;
    }
    IntVector bits = x.reinterpretAsInts();
    IntVector odd = bits.lanewise(VectorOperators.LSHR, drop).and(1);
    return bits.add((1 << (drop - 1)) - 1).add(odd).and(-(1 << drop)).reinterpretAsFloats();
  }

  /** Rounded to binary16, of numbers within its range that are not negative. */
  private static FloatVector half(FloatVector x) {
    FloatVector normal = significant(x, HALF_BITS);
    // Below 2⁻¹⁴ the steps are 2⁻²⁴, the last bit of numbers near 0.75.
    FloatVector subnormal = x.add(0.75f).sub(0.75f);
    return normal.blend(subnormal, x.compare(VectorOperators.LT, 0x1p-14f));
  }
}
