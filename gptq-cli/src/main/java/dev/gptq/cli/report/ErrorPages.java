package dev.gptq.cli.report;

import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Table;
import dev.gptq.cli.console.Version;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The parts that pages about errors have in common. */
public final class ErrorPages {
  private ErrorPages() {}

  /** Errors against layers; logs side by side on one scale. */
  public static void addChart(HtmlPage page, Map<String, List<LoggedError>> logs) {
    page.heading("Errors")
        .paragraph(
            "Mean squared error of a module's output over the calibration tokens, undamped, against"
                + " the output of the full-precision weights; relative errors are divided by the"
                + " mean square of the output itself, and only these can be compared between"
                + " modules. Point at a line for its module; drag to enlarge, double-click to go"
                + " back. Of modules of the same kind and block, such as experts, the largest"
                + " is drawn.")
        .chart(ErrorChart.data(logs));
  }

  /** What ran, and where. */
  public static Map<String, String> machine(Backend backend) {
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("gptq", Version.number());
    facts.put("Java", Runtime.version().toString());
    facts.put(
        "system",
        System.getProperty("os.name")
            + " "
            + System.getProperty("os.version")
            + ", "
            + System.getProperty("os.arch"));
    facts.put("backend", backend.info().name());
    facts.put("device", backend.info().device());
    backend.info().features().forEach((name, value) -> facts.put("  " + name, value));
    return facts;
  }

  /** A row for each module; rounding to nearest has no errors, and no columns for them. */
  public static Table modules(List<ModuleReport> reports) {
    Table table =
        new Table(
            "module",
            "outputs",
            "inputs",
            "bits",
            "group",
            "error",
            "relative",
            "RTN relative",
            "damping",
            "tokens",
            "seconds");
    for (ModuleReport report : reports) {
      table.row(
          report.name(),
          String.valueOf(report.rows()),
          String.valueOf(report.columns()),
          String.valueOf(report.bits()),
          String.valueOf(report.groupSize()),
          number(report.error()),
          number(report.relativeError()),
          number(report.rtnRelativeError()),
          number(report.damp()),
          report.tokens() == 0 ? "" : String.valueOf(report.tokens()),
          String.format(Locale.ROOT, "%.2f", report.seconds()));
    }
    return table.withoutEmptyColumns();
  }

  /** A row for each attempt. */
  public static Table attempts(List<Attempt> attempts) {
    Table table = new Table("module", "bits", "group", "error", "relative", "kept");
    for (Attempt attempt : attempts) {
      ModuleReport report = attempt.report();
      table.row(
          report.name(),
          String.valueOf(report.bits()),
          String.valueOf(report.groupSize()),
          number(report.error()),
          number(report.relativeError()),
          attempt.kept() ? "kept" : "");
    }
    return table;
  }

  private static String number(double value) {
    return Double.isNaN(value) ? "" : String.format(Locale.ROOT, "%.3e", value);
  }
}
