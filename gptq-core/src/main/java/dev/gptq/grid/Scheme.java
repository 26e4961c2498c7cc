package dev.gptq.grid;

/**
 * A family of quantization grids: which integer codes exist and where real zero lies among them. A
 * group of weights is stored as unsigned codes {@code u}, a scale {@code s} and a zero point {@code
 * z}; it stands for {@code s · (u − z)}.
 *
 * <p>With {@code A = max |w|}, {@code lo = min(w, 0)}, {@code hi = max(w, 0)} over the group and
 * {@code b} bits:
 *
 * <table>
 *   <caption>Schemes</caption>
 *   <tr><th>scheme</th><th>scale</th><th>zero point</th><th>codes</th></tr>
 *   <tr><td>asym</td><td>(hi − lo)/(2^b − 1)</td><td>rint(−lo/s)</td><td>0 … 2^b − 1</td></tr>
 *   <tr><td>sym</td><td>2A/(2^b − 1)</td><td>2^(b−1)</td><td>0 … 2^b − 1</td></tr>
 *   <tr><td>sym-restricted</td><td>2A/(2^b − 2)</td><td>2^(b−1)</td><td>1 … 2^b − 1</td></tr>
 *   <tr><td>half-offset</td><td>2A/(2^b − 1)</td><td>2^(b−1) − ½</td><td>0 … 2^b − 1</td></tr>
 * </table>
 */
public enum Scheme {
  /** Zero point chosen per group; the grid covers exactly the range of the weights. */
  ASYMMETRIC("asym"),
  /** Fixed zero point in the middle; one more negative code than positive ones. */
  SYMMETRIC("sym"),
  /** As symmetric, without the lowest code, so that the grid is its own mirror image. */
  SYMMETRIC_RESTRICTED("sym-restricted"),
  /** Mid-rise: all codes used, mirror symmetric, and no code for zero itself. */
  HALF_OFFSET("half-offset");

  private final String id;

  Scheme(String id) {
    this.id = id;
  }

  /** The name on the command line and in reports. */
  public String id() {
    return id;
  }

  /** The scheme of that {@link #id()}. */
  public static Scheme of(String id) {
    for (Scheme scheme : values()) {
      if (scheme.id.equals(id)) {
        return scheme;
      }
    }
    throw new IllegalArgumentException(
        "unknown scheme '" + id + "'; known: asym, sym, sym-restricted, half-offset");
  }

  /** Whether each group stores a zero point of its own. */
  public boolean hasZeroPoint() {
    return this == ASYMMETRIC;
  }

  /** Whether real zero lies between two codes, so that rounding is {@code floor(t) + ½}. */
  public boolean isMidRise() {
    return this == HALF_OFFSET;
  }

  /** The smallest code. */
  public int minCode() {
    return this == SYMMETRIC_RESTRICTED ? 1 : 0;
  }

  /** The largest code at {@code bits} bits. */
  public int maxCode(int bits) {
    return (1 << bits) - 1;
  }

  /** Number of steps between the smallest and the largest code: {@code (hi − lo)/levels = s}. */
  public int levels(int bits) {
    return maxCode(bits) - minCode();
  }

  /**
   * The zero point of every group. Throws {@link IllegalStateException} for {@link #ASYMMETRIC}.
   */
  public float fixedZero(int bits) {
    int middle = 1 << (bits - 1);
    return switch (this) {
      case ASYMMETRIC ->
          throw new IllegalStateException("an asymmetric grid chooses its zero point per group");
      case SYMMETRIC, SYMMETRIC_RESTRICTED -> middle;
      case HALF_OFFSET -> middle - 0.5f;
    };
  }
}
