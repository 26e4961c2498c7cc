package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;

/**
 * Feed-forward layers of which every token chooses some.
 *
 * @param router name of the router's module
 * @param chosen experts of a token
 * @param normalised whether the weights of a token's experts sum to one
 * @param experts the layers
 */
public record Experts(
    String router, int chosen, boolean normalised, ImmutableList<FeedForward> experts) {

  /** The steps from a normalised activation into the residual stream, expert after expert. */
  ImmutableList<Step> steps(String in, String to) {
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    int hidden = experts.getFirst().hidden();
    LinearSpec gate = new LinearSpec(router, "routes", experts.size(), hidden, false);
    steps.add(new Step.Route(in, gate, chosen, normalised));
    for (int e = 0; e < experts.size(); e++) {
      String rows = "expert" + e;
      String result = "expert" + e + ".out";
      steps.add(new Step.Gather(in, "routes", e, rows));
      steps.addAll(experts.get(e).steps(rows, result));
      steps.add(new Step.Scatter(result, "routes", e, to));
    }
    return steps.build();
  }
}
