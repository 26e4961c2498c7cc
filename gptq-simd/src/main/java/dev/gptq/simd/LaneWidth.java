package dev.gptq.simd;

import com.google.common.base.Preconditions;

/**
 * The vector width of this JVM, decided once: kernels read their species from static final fields,
 * which the compiler treats as constants, and those cannot change later. Free of vector classes, so
 * that it can be asked before the module is known to be present.
 */
final class LaneWidth {
  /** Setting and, with the prefix {@code gptq.}, system property that force a width. */
  static final String SETTING = "simd.bits";

  /** Stands for the widest vectors that the machine prefers. */
  static final int PREFERRED = 0;

  private static int requested = parse(System.getProperty("gptq." + SETTING));

  private LaneWidth() {}

  /** Asks for a width; without effect on kernels that were already used. */
  static synchronized void request(String bits) {
    requested = parse(bits);
  }

  /** The width asked for: 128, 256, 512 or {@link #PREFERRED}. */
  static synchronized int requested() {
    return requested;
  }

  static boolean isKnown(String bits) {
    return bits.equals("128") || bits.equals("256") || bits.equals("512");
  }

  static int parse(String bits) {
    if (bits == null) {
      return PREFERRED;
    }
    Preconditions.checkArgument(
        isKnown(bits), "%s must be 128, 256 or 512 but is '%s'", SETTING, bits);
    return Integer.parseInt(bits);
  }
}
