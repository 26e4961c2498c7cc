package dev.gptq.quantizer.tune;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Which rate is taken: the first that was tried, unless another comes closer on the held-out
 * windows beyond chance. A trial is short, and what it says of a whole tuning is vague: half a per
 * cent one way or the other is no reason to leave what is known to do well.
 */
final class RateTrials {
  /** Standard errors of the mean difference that are chance. */
  private static final double CHANCE = 2;

  private double[] usual = {};
  private double chosen;
  private double closest;

  /**
   * Takes note of a trial.
   *
   * @param heldOut the divergence of each held-out window after it
   */
  void add(double rate, double[] heldOut) {
    boolean first = usual.length == 0;
    if (first) {
      usual = heldOut.clone();
    }
    if (first || (mean(heldOut) < closest && isCloser(heldOut, usual))) {
      chosen = rate;
      closest = mean(heldOut);
    }
  }

  /** The rate that trials so far speak for. */
  double chosen() {
    return chosen;
  }

  /**
   * Whether windows diverge less than the same windows did before, by more than {@value #CHANCE}
   * standard errors of the mean of their differences; never of a single one.
   */
  static boolean isCloser(double[] windows, double[] before) {
    int n = windows.length;
    double[] less = IntStream.range(0, n).mapToDouble(i -> before[i] - windows[i]).toArray();
    double mean = mean(less);
    double squares = Arrays.stream(less).map(each -> (each - mean) * (each - mean)).sum();
    return n > 1 && mean > CHANCE * Math.sqrt(squares / (n - 1) / n);
  }

  static double mean(double[] values) {
    return Arrays.stream(values).sum() / values.length;
  }
}
