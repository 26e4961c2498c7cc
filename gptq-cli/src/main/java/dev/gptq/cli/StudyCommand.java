package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Quality;
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
  @Option(names = "--model", required = true, paramLabel = "DIR", description = "model folder")
  private Path model;

  @Option(
      names = "--text",
      paramLabel = "FILE",
      description = "text to measure on (default: the second half of the bundled novel)")
  private Path text;

  @Option(
      names = "--windows",
      paramLabel = "N",
      description = "measure the first N windows only (default: all)")
  private Integer windows;

  @Option(
      names = "--bits",
      paramLabel = "N",
      description = "bits of a weight: 2, 3, 4 or 8 (default: ${DEFAULT-VALUE})")
  private int bits = 4;

  @Option(
      names = "--group-size",
      paramLabel = "N",
      description = "weights that share a scale; -1 for whole rows (default: ${DEFAULT-VALUE})")
  private int groupSize = 128;

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
    try (Model opened = Model.open(model)) {
      ImmutableList<int[]> measured =
          EvaluationText.windows(
              opened, text == null ? Home.evaluation() : text, calibration.length(), windows);
      ImmutableList<int[]> calibrating = calibration.windows(opened, Quality.FAST, console);
      try (Backend backend = backendOption.open(console)) {
        Study study = new Study(opened, backend, options, observed, calibrating, measured, console);
        double full = study.fullPrecision();
        List<Study.Run> runs = study.run();
        if (report != null) {
          console.note(
              "wrote " + StudyReport.write(report, settings(calibrating), backend, full, runs));
        }
        if (output.json()) {
          console.result(Json.line(json(backend, full, runs)));
        } else {
          Study.table(full, runs).lines().forEach(console::result);
          console.result("");
          Hypotheses.table(runs.getFirst().reports()).lines().forEach(console::result);
        }
      }
    }
    return ExitStatus.DONE;
  }

  private GptqOptions options() {
    if (observed < 1) {
      throw new UsageException("--observe must be at least 1 but is " + observed);
    }
    try {
      return GptqOptions.of(GridSpec.of(Scheme.SYMMETRIC, bits), groupSize)
          .withOrder(ColumnOrder.ACTIVATION);
    } catch (IllegalArgumentException e) {
      throw new UsageException(e.getMessage());
    }
  }

  private ImmutableMap<String, String> settings(ImmutableList<int[]> calibrating) {
    return ImmutableMap.of(
        "model", model.toString(),
        "bits", String.valueOf(bits),
        "group size", String.valueOf(groupSize),
        "observed modules", String.valueOf(observed),
        "calibration", calibrating.size() + " windows of " + calibrating.getFirst().length);
  }

  private static ObjectNode json(Backend backend, double full, List<Study.Run> runs) {
    ObjectNode document = Json.command("study", backend).put("full_precision", full);
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
