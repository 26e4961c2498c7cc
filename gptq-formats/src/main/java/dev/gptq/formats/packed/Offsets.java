package dev.gptq.formats.packed;

/** Grids whose zero points are stored as offsets {@code scale·zero} in float16. */
public final class Offsets {
  private static final int HALF_BITS = 11;
  private static final int MOST_BITS = 5;

  private Offsets() {}

  /**
   * Significant bits of a scale whose product with any zero point of that width is a float16 and
   * which survives bfloat16: 7 at 4 bits, 6 at 5. Wider grids would leave too few, and have the
   * bits that survive; their offsets are rounded.
   */
  public static int scaleBits(int bits) {
    return bits > MOST_BITS ? Format.BOTH_TYPES : Math.min(HALF_BITS - bits, Format.BOTH_TYPES);
  }
}
