package dev.gptq.models.pipeline;

/**
 * When an expert has seen enough tokens for GPTQ. With few, the Hessian knows few directions; what
 * GPTQ gains in those it loses in all others, and rounding to nearest is the better choice.
 */
final class ExpertTokens {
  /** Fewest tokens. */
  static final long ENOUGH = 128;

  private ExpertTokens() {}

  /**
   * Why a module must be rounded to nearest, or nothing.
   *
   * @param seen tokens that reached it
   * @param all calibration tokens; modules that see all of them get what the user asked for
   */
  static String shortage(long seen, long all) {
    return seen >= Math.min(ENOUGH, all)
        ? ""
        : "rounded to nearest: %d of %d calibration tokens reached it, GPTQ needs %d"
            .formatted(seen, all, ENOUGH);
  }
}
