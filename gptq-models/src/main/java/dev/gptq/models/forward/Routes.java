package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import com.google.common.primitives.ImmutableIntArray;
import dev.gptq.models.family.Routing;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Which tokens of a batch go to which expert.
 *
 * @param experts one for each expert
 */
record Routes(ImmutableList<Expert> experts) {

  /**
   * What goes to an expert.
   *
   * @param tokens rows of the batch, ascending
   * @param weights what its outputs are multiplied by
   */
  record Expert(ImmutableIntArray tokens, ImmutableDoubleArray weights) {
    /** The weights as they are multiplied by. */
    float[] factors() {
      double[] exact = weights.toArray();
      float[] factors = new float[exact.length];
      for (int t = 0; t < factors.length; t++) {
        factors[t] = (float) exact[t];
      }
      return factors;
    }
  }

  /** Routes every token with weights as they are. */
  static Routes of(float[] logits, Routing routing, float[] correction) {
    float[] gains = new float[correction.length];
    Arrays.fill(gains, 1);
    return of(logits, routing, correction, gains);
  }

  /**
   * Routes every token, to the first of equal experts.
   *
   * @param logits tokens × experts, row by row
   * @param correction what is added to the scores when choosing, one for each expert
   * @param gains what the weights of each expert are multiplied by
   */
  static Routes of(float[] logits, Routing routing, float[] correction, float[] gains) {
    int count = correction.length;
    int tokens = logits.length / count;
    int[][] chosen = new int[tokens][];
    double[][] weights = new double[tokens][];
    IntStream.range(0, tokens)
        .parallel()
        .forEach(t -> {
          Choice choice = new Choice(logits, t * count, routing, correction);
          double[] own = new double[choice.order.length];
          for (int i = 0; i < own.length; i++) {
            int e = choice.order[i];
            own[i] = gains[e] * routing.scaling() * choice.scores[e] / choice.sum;
          }
          chosen[t] = choice.order;
          weights[t] = own;
        });
    return of(count, chosen, weights);
  }

  /** The experts of a token, and the scores that their weights are shares of. */
  private static final class Choice {
    private final double[] scores;
    private final int[] order;
    private final double sum;

    Choice(float[] logits, int from, Routing routing, float[] correction) {
      int count = correction.length;
      scores = Routes.scores(logits, from, count, routing);
      double[] corrected = new double[count];
      for (int e = 0; e < count; e++) {
        corrected[e] = scores[e] + correction[e];
      }
      exclude(corrected, routing.groups());
      order = largest(corrected, 0, count, routing.chosen());
      sum = routing.normalised() ? sum() : 1;
    }

    /** The scores of the chosen, added with compensation (Kahan). */
    private double sum() {
      double total = 0;
      double excess = 0;
      for (int e : order) {
        double term = scores[e] - excess;
        double next = total + term;
        excess = next - total - term;
        total = next;
      }
      return total - excess;
    }
  }

  /**
   * The gradient with respect to the logits, given that with respect to the weights, while every
   * token stays with the experts that it has chosen.
   *
   * @param dWeights tokens × experts, row by row; those of experts that were not chosen count for
   *     nothing
   */
  static float[] gradient(
      float[] logits, float[] dWeights, Routing routing, float[] correction, float[] gains) {
    int count = correction.length;
    float[] gradient = new float[logits.length];
    IntStream.range(0, logits.length / count)
        .parallel()
        .forEach(t -> {
          int from = t * count;
          Choice choice = new Choice(logits, from, routing, correction);
          double[] dScores = new double[count];
          double shared = 0;
          for (int e : choice.order) {
            dScores[e] = gains[e] * routing.scaling() * dWeights[from + e] / choice.sum;
            shared += dScores[e] * choice.scores[e] / choice.sum;
          }
          for (int e : choice.order) {
            dScores[e] -= routing.normalised() ? shared : 0;
          }
          double[] d = logitGradient(logits, from, choice, dScores, routing);
          for (int e = 0; e < count; e++) {
            gradient[from + e] = (float) d[e];
          }
        });
    return gradient;
  }

  /** From the gradient with respect to the scores of a token's experts to that of all logits. */
  private static double[] logitGradient(
      float[] logits, int from, Choice choice, double[] dScores, Routing routing) {
    double[] s = choice.scores;
    double[] d = new double[s.length];
    switch (routing.score()) {
      case SIGMOID -> Arrays.setAll(d, e -> dScores[e] * s[e] * (1 - s[e]));
      case SOFTMAX -> {
        double mean = Arrays.stream(choice.order).mapToDouble(e -> dScores[e] * s[e]).sum();
        Arrays.setAll(d, e -> s[e] * (dScores[e] - mean));
      }
      case ONE_BY_ONE -> {
        double[] left = new double[s.length];
        Arrays.setAll(left, e -> logits[from + e]);
        for (int chosen : largest(left, 0, left.length, choice.order.length)) {
          for (int e = 0; e < left.length; e++) {
            double share = isClose(left[e], left[chosen], routing) ? share(left, e, chosen, s) : 0;
            d[e] += dScores[chosen] * s[chosen] * ((e == chosen ? 1 : 0) - share);
          }
          left[chosen] = Double.NEGATIVE_INFINITY;
        }
      }
    }
    return d;
  }

  /** What an expert has of the softmax in which the chosen one has its score. */
  private static double share(double[] left, int expert, int chosen, double[] scores) {
    return Math.exp(left[expert] - left[chosen]) * scores[chosen];
  }

  private static boolean isClose(double logit, double best, Routing routing) {
    return (best - logit) / Math.max(Math.abs(logit), best) <= routing.margin();
  }

  /**
   * What goes to each expert, given where each token goes. Tokens are many and this begins before
   * it is compiled: what is called for each of them is compiled sooner than a loop over all.
   */
  private static Routes of(int count, int[][] chosen, double[][] weights) {
    int[] rows = new int[count];
    for (int[] order : chosen) {
      count(order, rows);
    }
    int[][] tokens = new int[count][];
    double[][] factors = new double[count][];
    for (int e = 0; e < count; e++) {
      tokens[e] = new int[rows[e]];
      factors[e] = new double[rows[e]];
    }
    int[] next = new int[count];
    for (int t = 0; t < chosen.length; t++) {
      place(t, chosen[t], weights[t], next, tokens, factors);
    }
    return new Routes(
        IntStream.range(0, count)
            .mapToObj(e ->
                new Expert(
                    ImmutableIntArray.copyOf(tokens[e]), ImmutableDoubleArray.copyOf(factors[e])))
            .collect(ImmutableList.toImmutableList()));
  }

  private static void count(int[] order, int[] rows) {
    for (int e : order) {
      rows[e]++;
    }
  }

  private static void place(
      int token, int[] order, double[] weights, int[] next, int[][] tokens, double[][] factors) {
    for (int i = 0; i < order.length; i++) {
      int e = order[i];
      tokens[e][next[e]] = token;
      factors[e][next[e]++] = weights[i];
    }
  }

  /**
   * What takes most memory at a time, for rehearsals: of {@code experts / chosen} neighbours the
   * last gets all tokens but one for each of the others.
   */
  static Routes uneven(int tokens, int experts, int chosen) {
    int neighbours = Math.max(1, experts / chosen);
    ImmutableIntArray one = ImmutableIntArray.of(0);
    ImmutableIntArray most =
        ImmutableIntArray.copyOf(IntStream.rangeClosed(0, Math.max(0, tokens - neighbours)));
    return new Routes(
        IntStream.range(0, experts)
            .mapToObj(e -> e % neighbours == neighbours - 1 ? most : one)
            .map(rows -> new Expert(rows, ImmutableDoubleArray.copyOf(ones(rows.length()))))
            .collect(ImmutableList.toImmutableList()));
  }

  private static double[] ones(int count) {
    double[] ones = new double[count];
    Arrays.fill(ones, 1);
    return ones;
  }

  private static double[] scores(float[] logits, int from, int count, Routing routing) {
    double[] scores = new double[count];
    switch (routing.score()) {
      case ONE_BY_ONE -> {
        return oneByOne(logits, from, count, routing);
      }
      case SIGMOID -> Arrays.setAll(scores, e -> 1 / (1 + Math.exp(-logits[from + e])));
      case SOFTMAX -> {
        float max = logits[from];
        for (int e = 1; e < count; e++) {
          max = Math.max(max, logits[from + e]);
        }
        double sum = 0;
        for (int e = 0; e < count; e++) {
          scores[e] = Math.exp(logits[from + e] - max);
          sum += scores[e];
        }
        for (int e = 0; e < count; e++) {
          scores[e] /= sum;
        }
      }
    }
    return scores;
  }

  /** The weights of the chosen, in descending order of their logits; the others have none. */
  private static double[] oneByOne(float[] logits, int from, int count, Routing routing) {
    double[] left = new double[count];
    Arrays.setAll(left, e -> logits[from + e]);
    double[] weights = new double[count];
    Arrays.fill(weights, Double.NEGATIVE_INFINITY);
    for (int e : largest(left, 0, count, routing.chosen())) {
      double best = left[e];
      double sum = 0;
      for (double logit : left) {
        sum += isClose(logit, best, routing) ? Math.exp(logit - best) : 0;
      }
      weights[e] = 1 / sum;
      left[e] = Double.NEGATIVE_INFINITY;
    }
    return weights;
  }

  /** Experts outside the groups that remain can no longer be chosen. */
  private static void exclude(double[] scores, Routing.Groups groups) {
    if (groups.remaining() >= groups.count()) {
      return;
    }
    int size = scores.length / groups.count();
    double[] ranks = new double[groups.count()];
    for (int g = 0; g < ranks.length; g++) {
      int[] best = largest(scores, g * size, size, Math.min(2, size));
      ranks[g] =
          switch (groups.ranking()) {
            case BEST -> scores[g * size + best[0]];
            case BEST_TWO -> {
              int first = g * size;
              yield Arrays.stream(best).mapToDouble(e -> scores[first + e]).sum();
            }
          };
    }
    int[] remaining = largest(ranks, 0, ranks.length, groups.remaining());
    for (int g = 0; g < ranks.length; g++) {
      int group = g;
      if (Arrays.stream(remaining).noneMatch(r -> r == group)) {
        Arrays.fill(scores, g * size, (g + 1) * size, Double.NEGATIVE_INFINITY);
      }
    }
  }

  /** The largest of {@code count} numbers from {@code from} on, in descending order. */
  private static int[] largest(double[] numbers, int from, int count, int chosen) {
    int[] order = new int[chosen];
    int found = 0;
    for (int e = 0; e < count; e++) {
      double number = numbers[from + e];
      int at = found;
      while (at > 0 && number > numbers[from + order[at - 1]]) {
        at--;
      }
      if (at < chosen) {
        found = Math.min(found + 1, chosen);
        System.arraycopy(order, at, order, at + 1, found - at - 1);
        order[at] = e;
      }
    }
    return order;
  }
}
