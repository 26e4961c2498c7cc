package dev.gptq.cli;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The page about a study, and a log of each of its runs for {@code gptq plot}. */
final class StudyReport {
  private StudyReport() {}

  /** Writes both into a folder and returns the page's path. */
  static Path write(
      Path folder,
      ImmutableMap<String, String> settings,
      Backend backend,
      double fullPrecision,
      List<Study.Run> runs)
      throws IOException {
    HtmlPage page = new HtmlPage("Zero points and their cost");
    page.table(Study.table(fullPrecision, runs));
    for (boolean observed : new boolean[] {false, true}) {
      Map<String, List<LoggedError>> logs = new LinkedHashMap<>();
      for (Study.Run run : runs) {
        if (run.observed() == observed) {
          logs.put(run.name(), run.reports().stream().map(LoggedError::of).toList());
        }
      }
      ErrorPages.addPlots(page, logs);
    }
    page.heading("Hypotheses, on the first run").table(Hypotheses.table(runs.getFirst().reports()));
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
}
