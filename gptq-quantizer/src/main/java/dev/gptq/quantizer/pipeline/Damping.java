package dev.gptq.quantizer.pipeline;

import dev.gptq.quantize.GptqOptions;

/**
 * How much the Hessian of few tokens is damped. A Hessian of n tokens and d features knows its
 * directions to a relative error of about d/n: correlations of that size are chance, and GPTQ would
 * spend the rounding of every other text on them. So λ, as a share of the mean diagonal, is at
 * least d/(4n), up to 1; from n = 25·d on the default of 0.01 is more than that.
 */
public final class Damping {
  /** Tokens for each feature at which the least damping is 1. */
  private static final double ALL_CHANCE = 0.25;

  private Damping() {}

  /** The options with the damping that is due to so many tokens. */
  public static GptqOptions of(GptqOptions options, long tokens, int features) {
    double least = Math.min(1, ALL_CHANCE * features / tokens);
    return least > options.damping() ? options.withDamping(least) : options;
  }
}
