package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import com.google.common.primitives.ImmutableIntArray;
import java.util.ArrayList;
import java.util.List;
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
  record Expert(ImmutableIntArray tokens, ImmutableDoubleArray weights) {}

  /**
   * Routes every token to the experts with its largest logits, the first of equal ones. Weights are
   * those of the softmax over all experts, perhaps divided by the sum of the chosen ones.
   *
   * @param logits tokens × count, row by row
   */
  static Routes of(float[] logits, int count, int chosen, boolean normalised) {
    List<ImmutableIntArray.Builder> tokens = new ArrayList<>();
    List<ImmutableDoubleArray.Builder> weights = new ArrayList<>();
    for (int e = 0; e < count; e++) {
      tokens.add(ImmutableIntArray.builder());
      weights.add(ImmutableDoubleArray.builder());
    }
    for (int t = 0; t < logits.length / count; t++) {
      int row = t * count;
      int[] order = largest(logits, row, count, chosen);
      float max = logits[row + order[0]];
      double sum = 0;
      for (int e = 0; e < (normalised ? chosen : count); e++) {
        sum += Math.exp(logits[row + (normalised ? order[e] : e)] - max);
      }
      for (int e = 0; e < chosen; e++) {
        tokens.get(order[e]).add(t);
        weights.get(order[e]).add(Math.exp(logits[row + order[e]] - max) / sum);
      }
    }
    return new Routes(
        IntStream.range(0, count)
            .mapToObj(e -> new Expert(tokens.get(e).build(), weights.get(e).build()))
            .collect(ImmutableList.toImmutableList()));
  }

  /** The largest of {@code count} numbers from {@code from} on, in descending order. */
  private static int[] largest(float[] numbers, int from, int count, int chosen) {
    int[] order = new int[chosen];
    int found = 0;
    for (int e = 0; e < count; e++) {
      float number = numbers[from + e];
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
