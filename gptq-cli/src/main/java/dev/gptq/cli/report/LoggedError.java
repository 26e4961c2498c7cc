package dev.gptq.cli.report;

import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.Optional;

/**
 * A point of a plot of errors.
 *
 * @param layer index of the block
 * @param module name below the block
 * @param error absolute error
 * @param relativeError relative error; NaN where a log has none
 * @param report all that is known of the module; empty where a log has errors only
 */
public record LoggedError(
    int layer, String module, double error, double relativeError, Optional<ModuleReport> report) {

  public static LoggedError of(ModuleReport report) {
    return new LoggedError(
        report.layer(),
        report.module(),
        report.error(),
        report.relativeError(),
        Optional.of(report));
  }

  /** The last part of the module's name. */
  public String kind() {
    return module.substring(module.lastIndexOf('.') + 1);
  }
}
