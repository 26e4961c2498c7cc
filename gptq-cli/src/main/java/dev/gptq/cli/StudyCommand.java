package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.MeasuringProgress;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.CalibrationOptions;
import dev.gptq.cli.options.Home;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.cli.options.TextOptions;
import dev.gptq.cli.options.WidthOptions;
import dev.gptq.cli.options.WindowsOption;
import dev.gptq.cli.report.HtmlPage;
import dev.gptq.cli.report.StudyReport;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.study.Study;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The study of zero points. */
@Command(
    name = "study",
    description = {
      "What do zero points cost, and what does it cost to do without? Quantizes a model with every"
          + " scheme, observes each result, and prints errors, perplexities and sizes. Grids are"
          + " fitted to the range of the weights and columns go in order of activation, as in the"
          + " study this repeats. Nothing but the report is written.",
      "",
      "Example: gptq study --model M --text wiki.test.raw --calibration c4.jsonl --report study"
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class StudyCommand implements Callable<Integer> {
  @Mixin private ModelOption model;

  @Option(
      names = "--text",
      paramLabel = "FILE",
      description = "text to measure on (default: the second half of the bundled novel)")
  private String text;

  @Mixin private WindowsOption windows;

  @Mixin private WidthOptions widths;

  @Option(
      names = "--observe",
      paramLabel = "K",
      description = "modules to observe (default: ${DEFAULT-VALUE}, as in the study)")
  private int observed = 40;

  @Option(
      names = "--report",
      paramLabel = "DIR",
      description =
          "folder for a page with tables and plots, index.html, and a log of each run for gptq"
              + " plot")
  private Path report;

  @Mixin private CalibrationOptions calibration;
  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    GptqOptions options = options();
    Path folder = model.folder(console);
    if (report != null) {
      HtmlPage.requirePlace(report, List.of(folder));
    }
    try (Model opened = Model.open(folder)) {
      ImmutableList<int[]> measured =
          TextOptions.text(
                  text == null ? Home.evaluation() : HubFiles.text(text, console),
                  calibration,
                  windows)
              .windows(opened, console::warning);
      ImmutableList<int[]> calibrating =
          calibration
              .calibration(console)
              .draws(opened, Quality.FAST.samples(), 1, console::warning)
              .getFirst();
      try (Backend backend = backendOption.open(console)) {
        Study study =
            new Study(
                opened,
                backend,
                options,
                observed,
                calibrating,
                measured,
                new MeasuringProgress(console));
        double full = study.fullPrecision();
        List<Study.Run> runs = study.run();
        if (report != null) {
          console.note(
              "wrote " + StudyReport.write(report, settings(calibrating), backend, full, runs));
        }
        if (output.json()) {
          console.result(JsonOutput.line(json(backend, full, runs)));
        } else {
          StudyReport.table(full, runs).lines().forEach(console::result);
          console.result("");
          StudyReport.hypotheses(runs.getFirst().reports()).lines().forEach(console::result);
        }
      }
    }
    return ExitStatus.DONE;
  }

  private GptqOptions options() {
    if (observed < 1) {
      throw new UsageException("--observe must be at least 1 but is " + observed);
    }
    if (widths.isFitting()) {
      throw new UsageException("the study needs a number for --group-size, not auto");
    }
    try {
      return GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, widths.bits()), widths.groupSize())
          .withOrder(ColumnOrder.ACTIVATION);
    } catch (IllegalArgumentException e) {
      throw new UsageException(e.getMessage());
    }
  }

  private ImmutableMap<String, String> settings(ImmutableList<int[]> calibrating) {
    return ImmutableMap.of(
        "model", model.name(),
        "bits", String.valueOf(widths.bits()),
        "group size", String.valueOf(widths.groupSize()),
        "observed modules", String.valueOf(observed),
        "calibration", calibrating.size() + " windows of " + calibrating.getFirst().length);
  }

  private static ObjectNode json(Backend backend, double full, List<Study.Run> runs) {
    ObjectNode document = JsonOutput.command("study", backend).put("full_precision", full);
    ArrayNode list = document.putArray("results");
    for (Study.Run run : runs) {
      list.addObject()
          .put("scheme", run.scheme().id())
          .put("observed", run.observed())
          .put("largest_error", run.largestError())
          .put("total_error", run.totalError())
          .put("relative_error", run.relativeError())
          .put("perplexity", run.perplexity())
          .put("bits_per_weight", run.bitsPerWeight())
          .put("zero_point", run.scheme().hasZeroPoint())
          .put("seconds", run.seconds());
    }
    return document;
  }
}
