package dev.gptq.grid;

/**
 * {@code |x|^2.4}, the norm of the MSE grid search, from float32 operations that every backend has:
 * {@code 2^(2.4·log2 x)} with two polynomials. Relative error under 1e-5; what matters is that all
 * backends follow these very steps and so choose the same candidate, bit for bit.
 *
 * <p>With {@code x = 2^k·(1 + f)}, {@code 0 ≤ f < 1}: {@code log2 x = k + f·P(f)}; with {@code y =
 * 2.4·log2 x = n + g}, {@code n = rint(y)}, {@code |g| ≤ ½}: {@code 2^y = 2^n·Q(g)}. Both
 * polynomials are evaluated by Horner's rule with fused multiply-adds, the highest coefficient
 * first. Values under {@link #SMALLEST} count as zero.
 */
public final class ErrorNorm {
  /** The exponent of the norm. */
  public static final float EXPONENT = 2.4f;

  /** Smaller magnitudes give 0: their power would be subnormal or zero. */
  public static final float SMALLEST = 0x1p-40f;

  private static final float[] LOG2 = {
    0.0075791376f,
    -0.042687193f,
    0.11305199f,
    -0.19728522f,
    0.27571967f,
    -0.35842848f,
    0.4806955f,
    -0.72134036f,
    1.442695f
  };

  private static final float[] EXP2 = {
    0.00015469732f, 0.0013400433f, 0.009618025f, 0.05550327f, 0.2402265f, 0.6931472f, 1.0f
  };

  private ErrorNorm() {}

  /** {@code |x|^2.4} for finite {@code |x| < 2^40}. */
  public static float of(float x) {
    float a = Math.abs(x);
    if (a < SMALLEST) {
      return 0f;
    }
    int bits = Float.floatToRawIntBits(a);
    float k = (bits >>> 23) - 127;
    float f = Float.intBitsToFloat((bits & 0x7fffff) | 0x3f800000) - 1f;
    float y = EXPONENT * Math.fma(f, horner(LOG2, f), k);
    float n = (float) Math.rint(y);
    float power = horner(EXP2, y - n);
    return Float.intBitsToFloat(Float.floatToRawIntBits(power) + ((int) n << 23));
  }

  /** Coefficients of {@code P}, the highest first. */
  public static float[] log2Coefficients() {
    return LOG2.clone();
  }

  /** Coefficients of {@code Q}, the highest first. */
  public static float[] exp2Coefficients() {
    return EXP2.clone();
  }

  private static float horner(float[] coefficients, float t) {
    float value = coefficients[0];
    for (int i = 1; i < coefficients.length; i++) {
      value = Math.fma(value, t, coefficients[i]);
    }
    return value;
  }
}
