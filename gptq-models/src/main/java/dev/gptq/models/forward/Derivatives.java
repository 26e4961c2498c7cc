package dev.gptq.models.forward;

import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import java.util.Optional;
import java.util.stream.Stream;

/** Of which models gradients can be taken. */
public final class Derivatives {
  private Derivatives() {}

  /** What of a model has no derivative here, for people; empty if all has one. */
  public static Optional<String> missing(DecoderSpec spec) {
    for (BlockSpec block :
        Stream.concat(spec.blocks().stream(), Stream.of(spec.closing())).toList()) {
      if (!block.kept().isEmpty() || !block.needs().isEmpty()) {
        return Optional.of("activations that blocks share");
      }
      for (Step step : block.steps()) {
        if (!isThere(step)) {
          return Optional.of(nameOf(step));
        }
      }
    }
    return Optional.empty();
  }

  private static boolean isThere(Step step) {
    return switch (step) {
      case Step.Convolve _,
          Step.DeltaRule _,
          Step.StateSpace _,
          Step.Clamp _,
          Step.Xielu _,
          Step.Lookup _ ->
          false;
      case Step.Norm _,
          Step.Linears _,
          Step.Project _,
          Step.Split _,
          Step.Join _,
          Step.Weigh _,
          Step.Temper _,
          Step.Positions _,
          Step.Route _,
          Step.Gather _,
          Step.Scatter _,
          Step.Scale _,
          Step.Rope _,
          Step.Attention _,
          Step.Activate _,
          Step.Gate _,
          Step.Add _ ->
          true;
    };
  }

  /** What a step without a derivative is called. */
  static String nameOf(Step step) {
    return switch (step) {
      case Step.Convolve _ -> "convolutions";
      case Step.DeltaRule _ -> "the delta rule";
      case Step.StateSpace _ -> "state spaces";
      case Step.Clamp _ -> "clamped activations";
      case Step.Xielu _ -> "xIELU";
      default -> step.getClass().getSimpleName();
    };
  }
}
