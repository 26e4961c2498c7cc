package dev.gptq.cli.report;

import dev.gptq.quantizer.pipeline.ModuleReport;

/**
 * A point of a plot of errors.
 *
 * @param layer index of the block
 * @param module name below the block
 * @param error absolute error
 * @param relativeError relative error; NaN where a log has none
 */
public record LoggedError(int layer, String module, double error, double relativeError) {

  public static LoggedError of(ModuleReport report) {
    return new LoggedError(report.layer(), report.module(), report.error(), report.relativeError());
  }

  /** The last part of the module's name. */
  public String kind() {
    return module.substring(module.lastIndexOf('.') + 1);
  }
}
