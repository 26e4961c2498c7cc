package dev.gptq.cli.report;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.Table;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.study.Hypotheses;
import dev.gptq.quantizer.study.Study;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The page about a study, and a log of each of its runs for {@code gptq plot}. */
public final class StudyReport {
  private StudyReport() {}

  /** Writes both into a folder and returns the page's path. */
  public static Path write(
      Path folder,
      ImmutableMap<String, String> settings,
      Backend backend,
      double fullPrecision,
      List<Study.Run> runs)
      throws IOException {
    HtmlPage page = new HtmlPage("Zero points and their cost");
    page.table(table(fullPrecision, runs));
    for (boolean observed : new boolean[] {false, true}) {
      Map<String, List<LoggedError>> logs = new LinkedHashMap<>();
      for (Study.Run run : runs) {
        if (run.observed() == observed) {
          logs.put(run.name(), run.reports().stream().map(LoggedError::of).toList());
        }
      }
      ErrorPages.addChart(page, logs);
    }
    page.heading("Hypotheses, on the first run").table(hypotheses(runs.getFirst().reports()));
    page.heading("Settings").facts(settings);
    page.heading("Machine").facts(ErrorPages.machine(backend));
    Map<String, String> times = new LinkedHashMap<>();
    runs.forEach(run -> times.put(run.name(), Console.time(run.seconds())));
    page.heading("Time to quantize").facts(times);
    for (Study.Run run : runs) {
      page.heading(run.name()).table(ErrorPages.modules(run.reports()));
    }
    Files.createDirectories(folder);
    for (Study.Run run : runs) {
      List<String> lines = run.reports().stream().map(QuantizationLog::line).toList();
      Files.write(folder.resolve(run.name().toLowerCase(Locale.ROOT) + ".jsonl"), lines);
    }
    return page.write(folder);
  }

  /** The table of the study. */
  public static Table table(double fullPrecision, List<Study.Run> runs) {
    Table table =
        new Table(
            "scheme",
            "observed",
            "largest error",
            "total error",
            "relative error",
            "perplexity",
            "bits a weight",
            "zero point");
    table.row(
        "full precision",
        "",
        "",
        "",
        "",
        String.format(Locale.ROOT, "%.3f", fullPrecision),
        "",
        "");
    for (Study.Run run : runs) {
      table.row(
          run.scheme().id(),
          run.observed() ? "yes" : "no",
          String.format(Locale.ROOT, "%.2f", run.largestError()),
          String.format(Locale.ROOT, "%.1f", run.totalError()),
          String.format(Locale.ROOT, "%.5f", run.relativeError()),
          String.format(Locale.ROOT, "%.3f", run.perplexity()),
          String.format(Locale.ROOT, "%.3f", run.bitsPerWeight()),
          run.scheme().hasZeroPoint() ? "yes" : "no");
    }
    return table;
  }

  /** The three hypotheses on absolute and on relative errors. */
  public static Table hypotheses(List<ModuleReport> reports) {
    Hypotheses absolute = Hypotheses.absolute(reports);
    Hypotheses relative = Hypotheses.relative(reports);
    return new Table("hypothesis", "on absolute errors", "on relative errors")
        .row(
            "feed-forward modules are sensitive in the second half",
            absolute.feedForward().text(),
            relative.feedForward().text())
        .row("later layers are harder", absolute.later().text(), relative.later().text())
        .row(
            "the attention's output projection is easy",
            absolute.output().text(),
            relative.output().text());
  }
}
