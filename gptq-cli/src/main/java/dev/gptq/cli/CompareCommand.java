package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.Interruption;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.MeasuringProgress;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.CalibrationOptions;
import dev.gptq.cli.options.LoadingOption;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.cli.options.QuantizationOptions;
import dev.gptq.cli.options.SequentialOption;
import dev.gptq.cli.options.TextOptions;
import dev.gptq.cli.options.TuneOptions;
import dev.gptq.cli.options.WindowsOption;
import dev.gptq.cli.report.ComparisonReport;
import dev.gptq.grid.SuperBlock;
import dev.gptq.models.Model;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.run.Calibration;
import dev.gptq.quantizer.run.CurvatureChoice;
import dev.gptq.quantizer.run.PlannedTuning;
import dev.gptq.quantizer.study.Comparison;
import dev.gptq.quantizer.tune.Tuning;
import dev.gptq.quantizer.tune.TuningText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The table of a paper. */
@Command(
    name = "compare",
    description = {
      "Prints the table of a paper: perplexity in full precision, rounded to nearest, and with GPTQ,"
          + " over bit widths and group sizes. Nothing is written.",
      "",
      "Example: gptq compare --model M --text wiki.test.raw --calibration c4.jsonl --bits 4,3"
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class CompareCommand implements Callable<Integer> {
  @Mixin private ModelOption model;

  @Option(
      names = "--text",
      required = true,
      paramLabel = "FILE",
      description = "text to measure on")
  private String text;

  @Mixin private WindowsOption windows;

  @Option(
      names = "--bits",
      paramLabel = "N",
      split = ",",
      description = "bit widths (default: 4,3,2)")
  private List<Integer> bits = List.of(4, 3, 2);

  @Option(
      names = "--group-size",
      paramLabel = "N",
      split = ",",
      description = "group sizes, -1 for whole rows (default: 128,-1)")
  private List<Integer> groupSizes = List.of(128, -1);

  @Option(
      names = "--type",
      paramLabel = "NAME",
      split = ",",
      description = "blocks of llama.cpp in place of bit widths and group sizes: Q2_K, Q3_K, Q4_K")
  private List<SuperBlock> types = List.of();

  @Option(
      names = "--method",
      paramLabel = "NAME",
      split = ",",
      description = "rtn, gptq (default: both)")
  private List<Method> methods = List.of(Method.RTN, Method.GPTQ);

  @Mixin private SequentialOption sequential;

  @Option(
      names = "--kl",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description =
          "also measure the KL divergence from the full-precision model, which tells more than"
              + " perplexity and takes as long again (default: on)")
  private boolean divergence;

  @Option(
      names = "--seeds",
      paramLabel = "N",
      description =
          "draws of the calibration text: means and standard deviations of N runs, with seeds from"
              + " --seed on (default: ${DEFAULT-VALUE})")
  private int seeds = 1;

  @Mixin private QuantizationOptions options;
  @Mixin private TuneOptions tune;
  @Mixin private CalibrationOptions calibration;
  @Mixin private LoadingOption loading;
  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    ImmutableList<GptqOptions> algorithms = settings();
    try (Model stored = Model.open(model.folder(console))) {
      stored.quantization().ifPresent(codes -> console.warning(again(codes.base().bits())));
      Model opened = stored.asSource();
      ImmutableList<Comparison.Row> rows = rows(algorithms, opened, console);
      ImmutableList<int[]> measured =
          TextOptions.text(HubFiles.text(text, console), calibration, windows)
              .windows(opened, console::warning);
      ImmutableList<ImmutableList<int[]>> calibrating =
          methods.contains(Method.GPTQ)
              ? calibration
                  .calibration(console)
                  .draws(opened, options.quality().samples(), seeds, console::warning)
              : ImmutableList.of();
      try (Backend backend = backendOption.open(console);
          Interruption _ =
              Interruption.losing(
                  console,
                  "; nothing is kept, rows that are done stand above with their perplexity")) {
        Comparison comparison =
            new Comparison(
                opened,
                backend,
                calibrating,
                measured,
                divergence,
                loading
                    .loading()
                    .resolve(backend, ImmutableList.of(opened, opened), measured, console::note),
                new MeasuringProgress(console));
        if (!calibrating.isEmpty()) {
          int length = calibrating.getFirst().getFirst().length;
          Optional<Tuning> tuning = tuning(rows, opened, console);
          if (tuning.isPresent()) {
            TuningText tuned = tuningText(opened, length, tuning.get(), console);
            comparison.tuning(tuning.get(), tuned);
          }
        }
        double full = comparison.fullPrecision();
        List<Comparison.Measured> results = comparison.measure(rows);
        if (output.json()) {
          console.result(JsonOutput.line(json(backend, full, results)));
        } else {
          ComparisonReport.table(full, results).lines().forEach(console::result);
        }
      }
    }
    return ExitStatus.DONE;
  }

  private String again(int bits) {
    return ("%s is quantized already, to %d bits. What its codes stand for is taken for full precision,"
            + " so that each line is a second quantization of it; how far the first is from the original"
            + " says 'gptq eval --model %s --against ORIGINAL'")
        .formatted(model.name(), bits, model.name());
  }

  /** The tuning, where all rows can be tuned. */
  private Optional<Tuning> tuning(List<Comparison.Row> rows, Model opened, Console console) {
    Optional<Tuning> tuning = Optional.empty();
    for (Comparison.Row row : rows) {
      if (row.method() == Method.GPTQ) {
        tuning =
            PlannedTuning.choice(
                opened.spec(),
                QuantizationSettings.of(row.method(), row.options()),
                tune.tuning(options.quality().tunes()),
                options.quality().tunes(),
                console::warning);
        if (tuning.isEmpty()) {
          return tuning;
        }
      }
    }
    return tuning;
  }

  private TuningText tuningText(Model opened, int length, Tuning tuning, Console console)
      throws IOException {
    Calibration text = calibration.calibration(console);
    ImmutableList<Path> files = tune.text(console);
    return (files.isEmpty() ? text : text.withFiles(files))
        .tuningText(opened, length, tuning, console::warning);
  }

  private ImmutableList<GptqOptions> settings() {
    if (!types.isEmpty()) {
      return types.stream().map(options::with).collect(ImmutableList.toImmutableList());
    }
    return bits.stream()
        .flatMap(b -> groupSizes.stream().map(groupSize -> options.with(b, groupSize)))
        .collect(ImmutableList.toImmutableList());
  }

  private ImmutableList<Comparison.Row> rows(
      List<GptqOptions> algorithms, Model opened, Console console) {
    Target target = options.target();
    Curvature curvature =
        methods.contains(Method.GPTQ)
            ? CurvatureChoice.of(
                opened.spec(), options.curvature(), options.quality().curvature(), console::warning)
            : Curvature.INPUTS;
    ImmutableList.Builder<Comparison.Row> rows = ImmutableList.builder();
    for (GptqOptions algorithm : algorithms) {
      for (Method method : methods) {
        rows.add(
            new Comparison.Row(method, algorithm, target, curvature, sequential.trueSequential()));
      }
    }
    return rows.build();
  }

  private static ObjectNode json(Backend backend, double full, List<Comparison.Measured> results) {
    ObjectNode document = JsonOutput.command("compare", backend).put("full_precision", full);
    ArrayNode list = document.putArray("results");
    for (Comparison.Measured result : results) {
      ObjectNode row = ComparisonReport.describe(result.row(), list.addObject());
      put(row, "perplexity", result.perplexity());
      result.kl().ifPresent(kl -> put(row, "kl", kl));
      row.put("seconds", result.seconds());
    }
    return document;
  }

  private static void put(ObjectNode json, String name, Comparison.Spread spread) {
    json.put(name, spread.mean());
    if (!Double.isNaN(spread.deviation())) {
      json.put(name + "_deviation", spread.deviation());
    }
  }
}
