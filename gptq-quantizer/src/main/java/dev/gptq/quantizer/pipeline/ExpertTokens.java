package dev.gptq.quantizer.pipeline;

/**
 * When an expert has seen enough tokens for GPTQ. A Hessian of few tokens knows few directions;
 * what GPTQ gains in those it loses in all others, and rounding to nearest is the better choice.
 */
final class ExpertTokens {
  /** Fewest tokens for each input feature. */
  static final int PER_FEATURE = 2;

  private ExpertTokens() {}

  /**
   * Why a module must be rounded to nearest; empty if it need not.
   *
   * @param seen tokens that reached it
   * @param all calibration tokens; modules that see all of them get what the user asked for
   * @param features its input features
   */
  static String shortage(long seen, long all, int features) {
    long enough = (long) PER_FEATURE * features;
    return seen >= Math.min(enough, all)
        ? ""
        : "%d of %d calibration tokens reached it, GPTQ needs %d".formatted(seen, all, enough);
  }
}
