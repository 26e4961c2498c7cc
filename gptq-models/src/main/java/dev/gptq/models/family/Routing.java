package dev.gptq.models.family;

import java.util.Optional;

/**
 * How experts are chosen and what their outputs are multiplied by.
 *
 * <pre>
 *   s = score(logits);   chosen: the largest of s + correction in the groups that remain
 *   weight = scaling·s, or scaling·s / Σ s of the chosen
 * </pre>
 *
 * @param chosen experts of a token
 * @param score of an expert
 * @param normalised whether the weights of a token are divided by their sum
 * @param scaling factor on all weights
 * @param gains name of what the weights of each expert are multiplied by, below the block
 * @param correction name of what is added to the scores when choosing, below the block
 * @param groups which experts remain
 * @param margin by which others may be behind the best, where experts are chosen one by one
 */
public record Routing(
    int chosen,
    Score score,
    boolean normalised,
    float scaling,
    Optional<String> gains,
    Optional<String> correction,
    Groups groups,
    double margin) {

  /** Without gains. */
  public Routing(
      int chosen,
      Score score,
      boolean normalised,
      float scaling,
      Optional<String> correction,
      Groups groups) {
    this(chosen, score, normalised, scaling, Optional.empty(), correction, groups, 0);
  }

  /** The same with a factor for each expert. */
  public Routing withGains(String name) {
    return new Routing(
        chosen, score, normalised, scaling, Optional.of(name), correction, groups, margin);
  }

  /** What logits become. */
  public enum Score {
    /** The softmax over all experts. */
    SOFTMAX,
    /** The logistic function of each. */
    SIGMOID,
    /**
     * One after the other, the largest of those that are left, each with the softmax over those
     * whose logits are close to its own: {@code (best − l)/max(|l|, best) ≤ margin}.
     */
    ONE_BY_ONE
  }

  /**
   * Experts in groups of equal size, of which the best remain.
   *
   * @param count groups
   * @param remaining groups that remain; all if there is one group
   * @param ranking how groups are compared
   */
  public record Groups(int count, int remaining, Ranking ranking) {
    /** All experts remain. */
    public static final Groups NONE = new Groups(1, 1, Ranking.BEST);

    /** How groups are compared. */
    public enum Ranking {
      /** By their best expert. */
      BEST,
      /** By the sum of their two best. */
      BEST_TWO
    }
  }

  /** Two experts, each weighed against those that are left and not far behind it. */
  public static Routing oneByOne(double jitter) {
    return new Routing(
        2, Score.ONE_BY_ONE, false, 1, Optional.empty(), Optional.empty(), Groups.NONE, 2 * jitter);
  }

  /** The largest of the softmax over all experts. */
  public static Routing softmax(int chosen, boolean normalised) {
    return new Routing(chosen, Score.SOFTMAX, normalised, 1, Optional.empty(), Groups.NONE);
  }

  /** The same with a factor on all weights. */
  public Routing withScaling(double factor) {
    return new Routing(
        chosen, score, normalised, (float) factor, gains, correction, groups, margin);
  }

  /** The same with a correction. */
  public Routing withCorrection(String name) {
    return new Routing(
        chosen, score, normalised, scaling, gains, Optional.of(name), groups, margin);
  }
}
