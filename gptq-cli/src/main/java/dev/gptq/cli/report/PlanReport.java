package dev.gptq.cli.report;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Work;
import dev.gptq.cli.console.Console;
import dev.gptq.quantizer.pipeline.BorderChoice;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.Pace;
import dev.gptq.quantizer.run.QuantizationPlan;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What a quantization would do, and what it would take. */
public final class PlanReport {
  private static final double NOT_WORTH_A_PROBE = 5;

  private PlanReport() {}

  /**
   * As lines of text.
   *
   * @param forecast what it takes on the backend
   */
  public static List<String> lines(QuantizationPlan plan, Backend backend, Forecast forecast)
      throws IOException {
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
    lines.addAll(forecast.memory().lines(backend.memory().most()));
    if (backend.devices() > 1) {
      lines.add(
          "  that is of the first of %d GPUs; no other takes more".formatted(backend.devices()));
    }
    forecast.note().ifPresent(lines::add);
    plan.tuning()
        .ifPresent(tuning -> {
          lines.add(tuning.sentence());
          BorderChoice choice = tuning.choice(backend);
          lines.add("  tuning takes about %d MiB".formatted(choice.tensors() >> 20));
          choice.note().ifPresent(lines::add);
        });
    lines.add(
        String.format(
            Locale.ROOT,
            "Java heap: about %d MiB of %d MiB",
            plan.heap() >> 20,
            Runtime.getRuntime().maxMemory() >> 20));
    lines.addAll(plan.disk(backend, forecast).lines(plan.wouldKeep(backend, forecast)));
    lines.add(
        "time on %s: %s; reading and writing files come on top"
            .formatted(backend.info().device(), time(backend, forecast.work())));
    lines.addAll(plan.notes());
    return lines;
  }

  /** Where a probe would take longer than the work, there is none. */
  private static String time(Backend backend, Work work) {
    return Pace.TWO_CORES.seconds(work) < NOT_WORTH_A_PROBE
        ? "a few seconds"
        : "about %s, by a short probe"
            .formatted(Console.time(Pace.of(backend, work).seconds(work)));
  }
}
