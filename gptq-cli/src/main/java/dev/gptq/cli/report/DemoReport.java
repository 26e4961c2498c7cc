package dev.gptq.cli.report;

import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Table;
import dev.gptq.cli.console.Version;
import dev.gptq.quantizer.run.QuantizationSummary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** The report of the demo: what was printed, on what, and where the error arises. */
public final class DemoReport {
  private DemoReport() {}

  /** Writes {@code report.md} and its picture into a folder. */
  public static Path write(
      Path folder,
      Backend backend,
      Table perplexities,
      QuantizationSummary summary,
      Path checkpoint,
      String before,
      String after)
      throws IOException {
    Path picture = folder.resolve("errors.png");
    System.setProperty("java.awt.headless", "true");
    ErrorPlot.of(
            Map.of(
                "relative output error by layer",
                summary.reports().stream().map(LoggedError::of).toList()),
            new ErrorPlot.Style(true, true))
        .write(picture);
    StringBuilder text = new StringBuilder();
    text.append("# A language model quantized with GPTQ\n\n")
        .append("Backend: ")
        .append(backend.info().name())
        .append(", ")
        .append(backend.info().device())
        .append(", ")
        .append(backend.info().features())
        .append(". gptq ")
        .append(Version.number())
        .append(", Java ")
        .append(Runtime.version())
        .append(".\n\n## Perplexity\n\n```\n");
    perplexities.lines().forEach(line -> text.append(line).append('\n'));
    text.append("```\n\n## The checkpoint\n\n");
    List<String> lines = QuantizationReport.lines(summary);
    lines.forEach(line -> text.append("- ").append(line).append('\n'));
    text.append("\n![relative error of every module](errors.png)\n\n")
        .append("## Text\n\nBefore:\n\n> ")
        .append(before.replace("\n", "\n> "))
        .append("\n\nAfter:\n\n> ")
        .append(after.replace("\n", "\n> "))
        .append('\n');
    return Files.writeString(folder.resolve("report.md"), text);
  }
}
