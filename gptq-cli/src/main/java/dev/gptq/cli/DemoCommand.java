package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.MeasuringProgress;
import dev.gptq.cli.console.QuantizationProgress;
import dev.gptq.cli.console.Table;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.Home;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.cli.report.ComparisonReport;
import dev.gptq.cli.report.DemoReport;
import dev.gptq.cli.report.QuantizationReport;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Generator;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.models.evaluation.Sampler;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.text.EvaluationText;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.run.Calibration;
import dev.gptq.quantizer.run.Quantization;
import dev.gptq.quantizer.run.QuantizationSummary;
import dev.gptq.quantizer.study.Comparison;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The main job on the bundled model. */
@Command(
    name = "demo",
    description = {
      "Quantizes the bundled model end to end and shows what that does to it: perplexity in full"
          + " precision, rounded to nearest and with GPTQ at 4, 3 and 2 bits, text before and"
          + " after, and a checkpoint to look at.",
      "Takes less than a minute on two cores."
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class DemoCommand implements Callable<Integer> {
  private static final int WINDOW = 512;
  private static final int CALIBRATION_WINDOWS = 32;
  private static final int EVALUATION_WINDOWS = 16;
  private static final int NEW_TOKENS = 48;
  private static final String PROMPT = "The captain looked at the sea and";

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description = "folder for checkpoint and report (default: ${DEFAULT-VALUE})")
  private Path output = Path.of("demo-output");

  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption outputOption;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = outputOption.console(spec);
    long start = System.nanoTime();
    try (Model model = Model.open(Home.model());
        Tokenizer tokenizer = model.tokenizer()) {
      ImmutableList<int[]> calibration =
          Calibration.of(Home.novel())
              .withSamples(CALIBRATION_WINDOWS)
              .withLength(WINDOW)
              .withSampling(Calibration.Sampling.EVEN)
              .draws(model, CALIBRATION_WINDOWS, 1, console::warning)
              .getFirst();
      ImmutableList<int[]> evaluation =
          EvaluationText.of(Home.evaluation())
              .withLength(WINDOW)
              .withLimit(EVALUATION_WINDOWS)
              .windows(model, console::warning);
      try (Backend backend = backendOption.open(console)) {
        Comparison comparison =
            new Comparison(
                model,
                backend,
                ImmutableList.of(calibration),
                evaluation,
                false,
                Loading.WHOLE,
                new MeasuringProgress(console));
        double full = comparison.fullPrecision();
        List<Comparison.Measured> results = comparison.measure(rows());
        console.result("Perplexity of the bundled model on the second half of a novel (less is");
        console.result("better), calibrated on its first half:");
        console.result("");
        Table table = ComparisonReport.table(full, results);
        table.lines().forEach(console::result);
        console.result("");
        Path checkpoint = output.resolve("checkpoint");
        QuantizationSummary summary = write(backend, calibration, checkpoint, console);
        String before = text(model, backend, tokenizer);
        console.result("before: " + before);
        String after;
        try (Model quantized = Model.open(checkpoint)) {
          after = text(quantized, backend, tokenizer);
        }
        console.result("after:  " + after);
        console.result("");
        QuantizationReport.lines(summary).forEach(console::result);
        Path report = DemoReport.write(output, backend, table, summary, checkpoint, before, after);
        console.result("wrote " + report + " (with a picture of the errors)");
        console.result("all of it took " + Console.time((System.nanoTime() - start) / 1e9));
      }
    }
    return ExitStatus.DONE;
  }

  private static List<Comparison.Row> rows() {
    List<Comparison.Row> rows = new ArrayList<>();
    for (int bits : new int[] {4, 3, 2}) {
      for (Method method : Method.values()) {
        GptqOptions options =
            Quality.STANDARD.apply(
                GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, bits), bits == 2 ? 32 : 128));
        rows.add(new Comparison.Row(method, options, Target.PLAIN, Curvature.INPUTS, true));
      }
    }
    return rows;
  }

  /** Writes the 4-bit checkpoint that most loaders read fastest: symmetric, groups of 128. */
  private static QuantizationSummary write(
      Backend backend, ImmutableList<int[]> calibration, Path checkpoint, Console console)
      throws IOException {
    try (QuantizationProgress progress = new QuantizationProgress(console)) {
      return Quantization.of(Home.model())
          .bits(4)
          .groupSize(128)
          .windows(calibration)
          .on(backend)
          .to(checkpoint)
          .overwrite(Files.exists(checkpoint.resolve(QuantizationLog.FILE)))
          .run(progress);
    }
  }

  private static String text(Model model, Backend backend, Tokenizer tokenizer) {
    try (Decoder decoder = model.load(backend)) {
      Generator.Continuation continuation =
          new Generator(decoder)
              .generate(tokenizer.encode(PROMPT), NEW_TOKENS, new Sampler(0.7, 0.9, 1), id -> {});
      return PROMPT + tokenizer.decode(continuation.tokens().toArray());
    }
  }
}
