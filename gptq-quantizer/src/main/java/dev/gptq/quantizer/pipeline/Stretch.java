package dev.gptq.quantizer.pipeline;

import dev.gptq.models.family.Step;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Consecutive steps of a block: those of one expert, or all that lie between experts.
 *
 * @param from the first step
 * @param to the step after the last
 * @param gather the step with which an expert begins
 */
record Stretch(int from, int to, Optional<Step.Gather> gather) {

  /** The stretches of which a block is made, in order. */
  static List<Stretch> of(List<Step> steps) {
    List<Stretch> stretches = new ArrayList<>();
    int from = 0;
    Optional<Step.Gather> gather = Optional.empty();
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i) instanceof Step.Gather begun) {
        add(stretches, new Stretch(from, i, gather));
        from = i;
        gather = Optional.of(begun);
      } else if (steps.get(i) instanceof Step.Scatter) {
        add(stretches, new Stretch(from, i + 1, gather));
        from = i + 1;
        gather = Optional.empty();
      }
    }
    add(stretches, new Stretch(from, steps.size(), gather));
    return stretches;
  }

  private static void add(List<Stretch> stretches, Stretch stretch) {
    if (stretch.from() < stretch.to()) {
      stretches.add(stretch);
    }
  }

  /** Whether these are the steps of an expert. */
  boolean isExpert() {
    return gather.isPresent();
  }

  /** Indices of the steps that are groups of linear layers. */
  List<Integer> groups(List<Step> steps) {
    return IntStream.range(from, to)
        .filter(i -> steps.get(i) instanceof Step.Linears)
        .boxed()
        .toList();
  }
}
