package dev.gptq.grid;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableSet;
import dev.gptq.tensor.DType;

/**
 * How grids are fitted: the scheme, its width, the search for the scale, and the type in which
 * scales will be stored. Scales are rounded to that type before they are used, so that the codes
 * are optimal for what the checkpoint holds.
 *
 * @param scheme which codes exist and where zero lies
 * @param bits bits of a code, 2 to 8
 * @param search how the scale follows from the weights
 * @param scaleType F32, F16 or BF16
 */
public record GridSpec(Scheme scheme, int bits, GridSearch search, DType scaleType) {

  /** Bits of a code with which packed weights are multiplied as they are. */
  public static final ImmutableSet<Integer> WIDTHS = ImmutableSet.of(2, 3, 4, 8);

  private static final int LEAST_BITS = 2;
  private static final int MOST_BITS = 8;

  /** The least positive scale, so that rounding to F16 never yields zero. */
  public static final float SMALLEST_SCALE = 0x1p-24f;

  /** The largest scale that F16 holds. */
  public static final float LARGEST_SCALE = 65504f;

  /** Checks the width and the scale type. */
  public GridSpec {
    Preconditions.checkArgument(
        bits >= LEAST_BITS && bits <= MOST_BITS,
        "bits must be between %s and %s but is %s",
        LEAST_BITS,
        MOST_BITS,
        bits);
    Preconditions.checkArgument(
        scaleType.isReal(), "scales are stored as F32, F16 or BF16, not as %s", scaleType);
  }

  /** Min-max grids with F16 scales, as GPTQ checkpoints store them. */
  public static GridSpec of(Scheme scheme, int bits) {
    return new GridSpec(scheme, bits, GridSearch.MIN_MAX, DType.F16);
  }

  /** The same with another width. */
  public GridSpec withBits(int other) {
    return new GridSpec(scheme, other, search, scaleType);
  }

  /** The same with another search. */
  public GridSpec withSearch(GridSearch other) {
    return new GridSpec(scheme, bits, other, scaleType);
  }

  /** The same with another type of scales. */
  public GridSpec withScaleType(DType other) {
    return new GridSpec(scheme, bits, search, other);
  }

  /** The largest code. */
  public int maxCode() {
    return scheme.maxCode(bits);
  }

  /**
   * {@code scale} rounded to the stored type, to nearest, ties to even; for F16 with its magnitude
   * clamped to [{@link #SMALLEST_SCALE}, {@link #LARGEST_SCALE}].
   */
  public float roundScale(float scale) {
    return switch (scaleType) {
      case F32 -> scale;
      case F16 ->
          Float.float16ToFloat(
              Float.floatToFloat16(
                  Math.copySign(
                      Math.clamp(Math.abs(scale), SMALLEST_SCALE, LARGEST_SCALE), scale)));
      case BF16 -> {
        int bits32 = Float.floatToRawIntBits(scale);
        yield Float.intBitsToFloat((bits32 + 0x7fff + ((bits32 >>> 16) & 1)) & 0xffff0000);
      }
      default -> throw new IllegalStateException("unreachable: " + scaleType);
    };
  }
}
