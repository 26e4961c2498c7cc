package dev.gptq.cli.report;

import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.run.PlannedTuning;
import dev.gptq.quantizer.run.QuantizationSummary;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.node.ObjectNode;

/** What came of a quantization, for people and for programs. */
public final class QuantizationReport {
  private QuantizationReport() {}

  /** As one JSON object. */
  public static ObjectNode json(QuantizationSummary summary, Backend backend) {
    GptqOptions options = summary.request().settings().options();
    ObjectNode json =
        JsonOutput.command("quantize", backend)
            .put("output", summary.request().output().toString())
            .put("modules", summary.reports().size())
            .put("modules_rounded_to_nearest", summary.rounded())
            .put("bits", options.grid().bits())
            .put("group_size", options.groupSize())
            .put("bits_per_weight", summary.bitsPerWeight());
    if (Double.isFinite(summary.totalError())) {
      json.put("total_error", summary.totalError());
    } else {
      json.putNull("total_error");
    }
    if (!summary.attempts().isEmpty()) {
      json.put("modules_tried_again", summary.tried()).put("modules_improved", summary.improved());
      json.put("total_error_before", summary.totalErrorBefore()).put("repropagated", false);
    }
    summary
        .tuned()
        .ifPresent(tuned ->
            json.put("tuning_rate", tuned.rate())
                .put("tuning_steps", tuned.steps())
                .put("tuning_best_step", tuned.best().step())
                .put("tuning_kl_before", tuned.looks().getFirst().heldOut())
                .put("tuning_kl", tuned.best().heldOut())
                .put("tuning_tokens", tuned.tokens())
                .put("tuning_seconds", tuned.seconds()));
    summary.peakProcess().ifPresent(resident -> json.put("peak_process_bytes", resident));
    return json.put("seconds", summary.seconds())
        .put("writing_seconds", summary.writing())
        .put("peak_memory_bytes", summary.peakTensors() + summary.peakHeap())
        .put("peak_tensor_bytes", summary.peakTensors())
        .put("peak_heap_bytes", summary.peakHeap());
  }

  /** As lines of text. */
  public static List<String> lines(QuantizationSummary summary) {
    Path output = summary.request().output();
    List<String> lines = new ArrayList<>();
    lines.add(
        String.format(
            Locale.ROOT,
            "quantized %d modules to %.3f bits a weight in %s, using at most %d MiB for tensors"
                + " and %d MiB of heap%s",
            summary.reports().size(),
            summary.bitsPerWeight(),
            Console.time(summary.seconds()),
            summary.peakTensors() >> 20,
            summary.peakHeap() >> 20,
            summary.peakProcess().isPresent()
                ? ", " + (summary.peakProcess().getAsLong() >> 20) + " MiB for the whole process"
                : ""));
    if (summary.rounded() > 0) {
      lines.add(
          "%d of %d modules are rounded to nearest; %s says why (fallback)"
              .formatted(summary.rounded(), summary.reports().size(), QuantizationLog.FILE));
    }
    if (!summary.attempts().isEmpty()) {
      lines.add(
          String.format(
              Locale.ROOT,
              "tried %d modules again and improved %d: total error %.4g, was %.4g",
              summary.tried(),
              summary.improved(),
              summary.totalError(),
              summary.totalErrorBefore()));
      lines.add(
          "modules after an improved one were calibrated with what it was before; later blocks were"
              + " not propagated again");
    }
    summary
        .tuned()
        .ifPresent(tuned ->
            lines.add(
                PlannedTuning.sentence(tuned)
                    + ", in "
                    + Console.time(tuned.seconds())
                    + " of these; errors of modules are those before it"));
    summary.reports().stream()
        .filter(report -> Double.isFinite(report.relativeError()))
        .max(Comparator.comparingDouble(ModuleReport::relativeError))
        .ifPresent(worst ->
            lines.add(
                String.format(
                    Locale.ROOT,
                    "largest relative output error: %.3e at %s (RTN %.3e)",
                    worst.relativeError(),
                    worst.name(),
                    worst.rtnRelativeError())));
    lines.add(
        String.format(
            Locale.ROOT,
            "wrote %s (%.1f MB) in the last %s of these",
            output,
            summary.bytes() / 1e6,
            Console.time(summary.writing())));
    return lines;
  }
}
