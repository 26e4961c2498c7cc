package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.tune.TuningOutcome;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What came of a quantization.
 *
 * @param request what was asked for
 * @param reports one for each module
 * @param attempts what was tried afterwards with single modules, if that was asked for
 * @param tuned what came of tuning, if that was asked for
 * @param seconds wall-clock time from the first block on
 * @param writing the part of it in which the checkpoint was written and verified
 * @param bytes size of the written tensors
 * @param bitsPerWeight bits of the quantized modules' tensors a weight
 * @param peakTensors bytes that the backend held at most
 * @param peakHeap bytes of Java's heap at most in use
 * @param peakProcess bytes of the whole process at most resident, where that is known
 */
public record QuantizationSummary(
    RunRequest request,
    ImmutableList<ModuleReport> reports,
    ImmutableList<Attempt> attempts,
    Optional<TuningOutcome> tuned,
    double seconds,
    double writing,
    long bytes,
    double bitsPerWeight,
    long peakTensors,
    long peakHeap,
    OptionalLong peakProcess) {

  /** The sum of the modules' errors. */
  public double totalError() {
    return reports.stream().mapToDouble(ModuleReport::error).sum();
  }

  /** Modules that are rounded to nearest although GPTQ was asked for. */
  public long rounded() {
    return reports.stream().filter(ModuleReport::fellBack).count();
  }

  /** Modules that were tried with other settings. */
  public long tried() {
    return attempts.stream().map(attempt -> attempt.report().name()).distinct().count();
  }

  /** Modules whose settings were changed. */
  public long improved() {
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

  /** The total error before modules were tried again. */
  public double totalErrorBefore() {
    double gain =
        attempts.stream()
            .filter(Attempt::kept)
            .map(Attempt::report)
            .mapToDouble(report -> first(report.name()).error() - report.error())
            .filter(Double::isFinite)
            .sum();
    return totalError() + gain;
  }
}
