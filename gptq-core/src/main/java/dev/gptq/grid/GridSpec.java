package dev.gptq.grid;

import com.google.common.base.Preconditions;
import dev.gptq.tensor.DType;

/**
 * How grids are fitted: the scheme, its width, the search for the scale, and the numbers as which
 * scales and zero points will be stored. Scales are rounded before they are used, so that the codes
 * are optimal for what the checkpoint holds.
 *
 * @param scheme which codes exist and where zero lies
 * @param bits bits of a code, 2 to 8
 * @param search how the scale follows from the weights
 * @param scaleType F32, F16 or BF16
 * @param scaleBits significant bits of a scale, the leading one included, 4 to {@link
 *     #ALL_SCALE_BITS}. With 8, float16 and bfloat16 hold the same number
 * @param leastZero the least zero point of an asymmetric grid, 0, or 1 where zero points are stored
 *     less one
 */
public record GridSpec(
    Scheme scheme, int bits, GridSearch search, DType scaleType, int scaleBits, int leastZero) {

  /** Scales with as many bits as their type has. */
  public static final int ALL_SCALE_BITS = 24;

  private static final int LEAST_SCALE_BITS = 4;

  /** The least bits of a code. */
  public static final int LEAST_BITS = 2;

  /** The most bits of a code. */
  public static final int MOST_BITS = 8;

  private static final int HALF_BITS = 11;
  private static final int BRAIN_BITS = 8;

  /** The least positive scale, so that rounding to F16 never yields zero. */
  public static final float SMALLEST_SCALE = 0x1p-24f;

  /** Whether codes may have so many bits. */
  public static boolean isWidth(int bits) {
    return bits >= LEAST_BITS && bits <= MOST_BITS;
  }

  /** Checks the ranges and the scale type. */
  public GridSpec {
    Preconditions.checkArgument(
        isWidth(bits), "bits must be between %s and %s but is %s", LEAST_BITS, MOST_BITS, bits);
    Preconditions.checkArgument(
        scaleType.isReal(), "scales are stored as F32, F16 or BF16, not as %s", scaleType);
    Preconditions.checkArgument(
        scaleBits >= LEAST_SCALE_BITS && scaleBits <= ALL_SCALE_BITS,
        "scales have between %s and %s significant bits, not %s",
        LEAST_SCALE_BITS,
        ALL_SCALE_BITS,
        scaleBits);
    Preconditions.checkArgument(
        leastZero == 0 || (leastZero == 1 && scheme.hasZeroPoint()),
        "the least zero point is 0, or 1 in an asymmetric grid, not %s",
        leastZero);
  }

  /** All that the scale type holds, and zero points from 0 on. */
  public GridSpec(Scheme scheme, int bits, GridSearch search, DType scaleType) {
    this(scheme, bits, search, scaleType, ALL_SCALE_BITS, 0);
  }

  /** Min-max grids with F16 scales, as GPTQ checkpoints store them. */
  public static GridSpec of(Scheme scheme, int bits) {
    return new GridSpec(scheme, bits, GridSearch.MIN_MAX, DType.F16);
  }

  /** The same with another width. */
  public GridSpec withBits(int other) {
    return new GridSpec(scheme, other, search, scaleType, scaleBits, leastZero);
  }

  /** The same with another search. */
  public GridSpec withSearch(GridSearch other) {
    return new GridSpec(scheme, bits, other, scaleType, scaleBits, leastZero);
  }

  /** The same with another type of scales. */
  public GridSpec withScaleType(DType other) {
    return new GridSpec(scheme, bits, search, other, scaleBits, leastZero);
  }

  /** The same with another number of significant bits of a scale. */
  public GridSpec withScaleBits(int other) {
    return new GridSpec(scheme, bits, search, scaleType, other, leastZero);
  }

  /** The same with another least zero point. */
  public GridSpec withLeastZero(int other) {
    return new GridSpec(scheme, bits, search, scaleType, scaleBits, other);
  }

  /** The largest code. */
  public int maxCode() {
    return scheme.maxCode(bits);
  }

  /** The largest scale that F16 holds in {@link #scaleBits()}: 65504 in 11 and more. */
  public float largestScale() {
    return (2 - Math.scalb(1f, 1 - Math.min(scaleBits, HALF_BITS))) * 0x1p15f;
  }

  /**
   * {@code scale}, for F16 with its magnitude clamped to [{@link #SMALLEST_SCALE}, {@link
   * #largestScale}], rounded to {@link #scaleBits()} significant bits and then to the stored type,
   * to nearest, ties to even.
   */
  public float roundScale(float scale) {
    return switch (scaleType) {
      case F32 -> rounded(scale, scaleBits);
      case F16 -> {
        float magnitude = Math.clamp(Math.abs(scale), SMALLEST_SCALE, largestScale());
        float rounded = rounded(Math.copySign(magnitude, scale), scaleBits);
        yield Float.float16ToFloat(Float.floatToFloat16(rounded));
      }
      case BF16 -> rounded(rounded(scale, scaleBits), BRAIN_BITS);
      default -> throw new IllegalStateException("unreachable: " + scaleType);
    };
  }

  private static float rounded(float x, int significantBits) {
    int drop = ALL_SCALE_BITS - significantBits;
    if (drop == 0) {
      return x;
    }
    int raw = Float.floatToRawIntBits(x);
    int odd = (raw >>> drop) & 1;
    return Float.intBitsToFloat((raw + (1 << (drop - 1)) - 1 + odd) & -(1 << drop));
  }
}
