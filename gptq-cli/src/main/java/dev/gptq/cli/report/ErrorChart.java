package dev.gptq.cli.report;

import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The numbers of a chart on a page, which {@code chart.js} draws: runs with their modules. */
final class ErrorChart {
  private ErrorChart() {}

  /** The logs by title. What is not known is null. */
  static ArrayNode data(Map<String, List<LoggedError>> logs) {
    ArrayNode runs = JsonMapper.shared().createArrayNode();
    logs.forEach((title, errors) -> {
      ArrayNode modules = runs.addObject().put("name", title).putArray("modules");
      errors.forEach(error -> add(modules.addObject(), error));
    });
    return runs;
  }

  private static void add(ObjectNode module, LoggedError error) {
    Optional<ModuleReport> report = error.report();
    module
        .put("name", report.map(ModuleReport::name).orElse(error.layer() + " " + error.module()))
        .put("kind", error.kind())
        .put("layer", error.layer())
        .put("error", finite(error.error()))
        .put("relative", finite(error.relativeError()))
        .put("rtn", finite(report.map(ModuleReport::rtnRelativeError).orElse(Double.NaN)))
        .put("bits", report.map(ModuleReport::bits).orElse(null))
        .put("group", report.map(ModuleReport::groupSize).orElse(null));
  }

  private static Double finite(double value) {
    return Double.isFinite(value) ? value : null;
  }
}
