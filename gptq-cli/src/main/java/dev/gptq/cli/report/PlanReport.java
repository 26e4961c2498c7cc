package dev.gptq.cli.report;

import dev.gptq.quantizer.run.QuantizationPlan;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What a quantization would do. */
public final class PlanReport {
  private PlanReport() {}

  /** As lines of text. */
  public static List<String> lines(QuantizationPlan plan) throws IOException {
    List<String> lines = new ArrayList<>();
    lines.add(
        String.format(
            Locale.ROOT,
            "would quantize %d blocks of %s to %d bits, group size %d, with %d windows of %d"
                + " tokens",
            plan.model().spec().blocks().size(),
            plan.model().spec().family(),
            plan.request().settings().options().grid().bits(),
            plan.request().settings().options().groupSize(),
            plan.windows().size(),
            plan.windows().isEmpty() ? 0 : plan.windows().getFirst().length));
    if (!plan.furtherWindows().isEmpty()) {
      lines.add(
          "and with up to %d windows more until every expert has seen --expert-tokens; what follows is"
                  .formatted(plan.furtherWindows().size())
              + " without those");
    }
    lines.addAll(plan.memory().lines());
    lines.addAll(plan.disk().lines(plan.wouldKeepStates()));
    lines.addAll(plan.notes());
    return lines;
  }
}
