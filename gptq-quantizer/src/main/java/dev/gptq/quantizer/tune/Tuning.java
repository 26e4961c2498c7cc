package dev.gptq.quantizer.tune;

import com.google.common.base.Preconditions;

/**
 * How a quantized model is tuned.
 *
 * @param steps at most
 * @param rate by how much an offset moves in the first step, in codes; it falls to 0 with the steps
 */
public record Tuning(int steps, double rate) {
  /** Steps of {@code --quality max}. */
  public static final int USUAL_STEPS = 1000;

  /** The usual rate. */
  public static final double USUAL_RATE = 0.003;

  /** What the factor of a scale moves by, as a share of what an offset does. */
  static final double SCALES = 0.1;

  /** Windows of a step. */
  public static final int WINDOWS = 8;

  /** How often the held-out text is looked at, at most. */
  private static final int LOOKS = 40;

  /** Looks without a gain after which tuning stops: a quarter of them. */
  static final int PATIENCE = LOOKS / 4;

  /** Checks the ranges. */
  public Tuning {
    Preconditions.checkArgument(steps > 0, "tuning takes at least 1 step, not %s", steps);
    Preconditions.checkArgument(
        rate > 0 && rate <= 1, "the rate of tuning is more than 0 and at most 1, not %s", rate);
  }

  /** At the usual rate. */
  public static Tuning of(int steps) {
    return new Tuning(steps, USUAL_RATE);
  }

  /** Steps from one look at the held-out text to the next. */
  int stepsOfLook() {
    return Math.ceilDiv(steps, LOOKS);
  }

  /** What offsets move by in a step, which count from 0. */
  float stepSize(int step) {
    return (float) (rate * (steps - step) / steps);
  }
}
