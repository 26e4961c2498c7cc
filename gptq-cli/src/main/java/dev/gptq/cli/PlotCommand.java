package dev.gptq.cli;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.report.ErrorLog;
import dev.gptq.cli.report.ErrorPages;
import dev.gptq.cli.report.ErrorPlot;
import dev.gptq.cli.report.HtmlPage;
import dev.gptq.cli.report.LoggedError;
import dev.gptq.cli.report.WeightPlot;
import dev.gptq.cli.report.chart.Picture;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.quantizer.study.ModuleWeights;
import dev.gptq.quantizer.study.WeightDistribution;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Draws quantization logs and weights. */
@Command(
    name = "plot",
    description = {
      "Draws the error of every module against its layer, one line a kind of module; several logs"
          + " side by side, on the same scale. Or, with --weights, how a module's weights are"
          + " distributed. Needs no display.",
      "",
      "Example: gptq plot model-w4 model-w3 --output errors.svg --relative --log"
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class PlotCommand implements Callable<Integer> {
  private static final int BINS = 50;

  @Parameters(
      paramLabel = "LOG",
      arity = "1..*",
      description =
          "quantization-log.jsonl, a log in the lines of GPTQ-for-LLaMa, or the folder of a"
              + " quantized checkpoint; with --weights the folder of any model")
  private List<Path> sources;

  @Option(names = "--output", paramLabel = "FILE", description = "picture to write, .png or .svg")
  private Path output;

  @Option(
      names = "--report",
      paramLabel = "DIR",
      description =
          "folder for a page with a chart to point at and all tables, index.html, that needs no other file")
  private Path report;

  @Option(
      names = "--relative",
      description = "errors relative to the module's output, which makes modules comparable")
  private boolean relative;

  @Option(names = "--log", description = "logarithmic axis of errors")
  private boolean logarithmic;

  @Option(
      names = "--weights",
      paramLabel = "MODULE",
      description = "draw the distribution of this module's weights instead, with a normal curve")
  private String weights;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    if (output == null && report == null) {
      throw new UsageException("say what to write: --output FILE, --report DIR or both");
    }
    if (output != null && !Picture.canWrite(output)) {
      throw new UsageException("--output must end in .png or .svg but is " + output);
    }
    if (report != null) {
      HtmlPage.requirePlace(report, sources);
    }
    System.setProperty("java.awt.headless", "true");
    Console console = new Console(spec, Console.ProgressMode.NONE);
    if (weights != null) {
      drawWeights(console);
    } else {
      drawErrors(console);
    }
    return ExitStatus.DONE;
  }

  private void drawWeights(Console console) throws IOException {
    if (report != null || relative || logarithmic || sources.size() > 1) {
      throw new UsageException(
          "--weights draws one module of one model; leave out --report, --relative and --log");
    }
    try (Model model = Model.open(sources.getFirst())) {
      WeightDistribution distribution = ModuleWeights.of(model, weights).distribution(BINS);
      Picture.of(new WeightPlot(distribution).chart()).write(output);
    }
    console.result("wrote " + output);
  }

  private void drawErrors(Console console) throws IOException {
    Map<String, ErrorLog> logs = new LinkedHashMap<>();
    for (Path source : sources) {
      logs.put(source.toString(), ErrorLog.read(source));
    }
    if (output != null) {
      if (relative) {
        logs.forEach(PlotCommand::requireRelative);
      }
      ErrorPlot.of(errors(logs), new ErrorPlot.Style(relative, logarithmic)).write(output);
      console.result("wrote " + output);
    }
    if (report != null) {
      HtmlPage page = new HtmlPage("Errors of quantized modules");
      ErrorPages.addChart(page, errors(logs));
      logs.forEach((title, log) -> {
        if (!log.reports().isEmpty()) {
          page.heading(title).table(ErrorPages.modules(log.reports()));
        }
      });
      console.result("wrote " + page.write(report));
    }
  }

  private static Map<String, List<LoggedError>> errors(Map<String, ErrorLog> logs) {
    Map<String, List<LoggedError>> errors = new LinkedHashMap<>();
    logs.forEach((title, log) -> errors.put(title, new ArrayList<>(log.errors())));
    return errors;
  }

  private static void requireRelative(String title, ErrorLog log) {
    if (log.errors().stream().allMatch(e -> Double.isNaN(e.relativeError()))) {
      throw new BadInputException(
          title + " has no relative errors; leave out --relative, or plot the .jsonl log");
    }
  }
}
