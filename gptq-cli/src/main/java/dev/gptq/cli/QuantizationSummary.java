package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalLong;
import tools.jackson.databind.node.ObjectNode;

/**
 * What came of a quantization.
 *
 * @param reports one for each module
 * @param attempts what was tried afterwards with single modules, if that was asked for
 * @param seconds wall-clock time from the first block on
 * @param writing the part of it in which the checkpoint was written and verified
 * @param bytes size of the written tensors
 * @param bitsPerWeight bits of the quantized modules' tensors a weight
 * @param peakTensors bytes that the backend held at most
 * @param peakHeap bytes of Java's heap at most in use
 * @param peakProcess bytes of the whole process at most resident, where that is known
 */
record QuantizationSummary(
    ImmutableList<ModuleReport> reports,
    ImmutableList<Attempt> attempts,
    double seconds,
    double writing,
    long bytes,
    double bitsPerWeight,
    long peakTensors,
    long peakHeap,
    OptionalLong peakProcess) {

  double totalError() {
    return reports.stream().mapToDouble(ModuleReport::error).sum();
  }

  ObjectNode json(Backend backend, Path output, GptqOptions options) {
    ObjectNode json =
        Json.command("quantize", backend)
            .put("output", output.toString())
            .put("modules", reports.size())
            .put("bits", options.grid().bits())
            .put("group_size", options.groupSize())
            .put("bits_per_weight", bitsPerWeight);
    if (Double.isFinite(totalError())) {
      json.put("total_error", totalError());
    } else {
      json.putNull("total_error");
    }
    if (!attempts.isEmpty()) {
      json.put("modules_tried_again", tried()).put("modules_improved", improved());
      json.put("total_error_before", totalErrorBefore()).put("repropagated", false);
    }
    peakProcess.ifPresent(resident -> json.put("peak_process_bytes", resident));
    return json.put("seconds", seconds)
        .put("writing_seconds", writing)
        .put("peak_memory_bytes", peakTensors + peakHeap)
        .put("peak_tensor_bytes", peakTensors)
        .put("peak_heap_bytes", peakHeap);
  }

  /** Modules that were tried with other settings. */
  private long tried() {
    return attempts.stream().map(attempt -> attempt.report().name()).distinct().count();
  }

  /** Modules whose settings were changed. */
  private long improved() {
    return attempts.stream()
        .filter(Attempt::kept)
        .filter(attempt -> !isFirst(attempt.report()))
        .count();
  }

  private boolean isFirst(ModuleReport report) {
    return first(report.name()).equals(report);
  }

  /** The first attempt of a module is the one before the observation. */
  private ModuleReport first(String name) {
    return attempts.stream()
        .map(Attempt::report)
        .filter(report -> report.name().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private double totalErrorBefore() {
    double gain =
        attempts.stream()
            .filter(Attempt::kept)
            .map(Attempt::report)
            .mapToDouble(report -> first(report.name()).error() - report.error())
            .filter(Double::isFinite)
            .sum();
    return totalError() + gain;
  }

  List<String> lines(Path output) {
    List<String> lines = new ArrayList<>();
    lines.add(
        String.format(
            Locale.ROOT,
            "quantized %d modules to %.3f bits a weight in %s, using at most %d MiB for tensors"
                + " and %d MiB of heap%s",
            reports.size(),
            bitsPerWeight,
            Console.time(seconds),
            peakTensors >> 20,
            peakHeap >> 20,
            peakProcess.isPresent()
                ? ", " + (peakProcess.getAsLong() >> 20) + " MiB for the whole process"
                : ""));
    if (!attempts.isEmpty()) {
      lines.add(
          String.format(
              Locale.ROOT,
              "tried %d modules again and improved %d: total error %.4g, was %.4g",
              tried(),
              improved(),
              totalError(),
              totalErrorBefore()));
      lines.add(
          "modules after an improved one were calibrated with what it was before; later blocks were"
              + " not propagated again");
    }
    reports.stream()
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
            bytes / 1e6,
            Console.time(writing)));
    return lines;
  }
}
