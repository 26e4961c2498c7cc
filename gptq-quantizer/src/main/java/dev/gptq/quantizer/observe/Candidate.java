package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.packed.Precision;
import dev.gptq.quantizer.pipeline.ModuleReport;

/**
 * A unit as it was quantized with one setting.
 *
 * @param unit the modules
 * @param precision their bits and group size
 * @param reports one for each module, in the order of the unit
 */
record Candidate(Unit unit, Precision precision, ImmutableList<ModuleReport> reports) {

  /** The sum of the modules' errors; modules that no token reached have none. */
  double error() {
    return reports.stream()
        .mapToDouble(ModuleReport::error)
        .filter(error -> !Double.isNaN(error))
        .sum();
  }

  /** The sum of the modules' relative errors, in which every module's output counts alike. */
  double relativeError() {
    return reports.stream()
        .mapToDouble(ModuleReport::relativeError)
        .filter(error -> !Double.isNaN(error))
        .sum();
  }

  /** Bytes of the modules' tensors. */
  long bytes() {
    return unit.bytes(precision);
  }

  /** Whether the sum of the errors is less and no module's error is more than the other's. */
  boolean isBetterThan(Candidate other) {
    for (int i = 0; i < reports.size(); i++) {
      if (reports.get(i).error() > other.reports.get(i).error()) {
        return false;
      }
    }
    return error() < other.error();
  }

  /** What each byte more than the other candidate's takes off the relative error. */
  double benefitPerByte(Candidate other) {
    return (other.relativeError() - relativeError()) / (bytes() - other.bytes());
  }
}
