package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.models.Model;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Quantizes a checkpoint. */
@Command(
    name = "quantize",
    description = {
      "Quantizes a Hugging Face checkpoint and writes one that vLLM, transformers and other loaders"
          + " of the GPTQ format read.",
      "",
      "Example: gptq quantize --model Llama-3.2-1B --output Llama-3.2-1B-w4 --calibration my.jsonl",
      "",
      "An interrupted run leaves its finished blocks beside the output folder; the same command"
          + " goes on from there."
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class QuantizeCommand implements Callable<Integer> {
  /** Forms of the log of modules. */
  enum LogFormat {
    /** A JSON object a line. */
    JSONL,
    /** That and lines of text. */
    CLASSIC
  }

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR",
      description = "folder with config.json, safetensors and tokenizer.json")
  private Path model;

  @Option(
      names = "--output",
      required = true,
      paramLabel = "DIR",
      description = "folder to write; must not exist or be empty")
  private Path output;

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
      names = "--method",
      paramLabel = "NAME",
      description = "gptq, or rtn: round to nearest, without calibration (default: gptq)")
  private Method method = Method.GPTQ;

  @Mixin private QuantizationOptions options;

  @Option(
      names = "--true-sequential",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description =
          "calibrate a module with the earlier ones of its block already quantized (default: on)")
  private boolean trueSequential;

  @Mixin private ObserveOptions observe;
  @Mixin private CalibrationOptions calibration;

  @Option(
      names = "--include",
      paramLabel = "REGEX",
      description = "quantize only modules whose name this matches")
  private Pattern include;

  @Option(
      names = "--exclude",
      paramLabel = "REGEX",
      description = "do not quantize modules whose name this matches")
  private Pattern exclude;

  @Option(
      names = "--format",
      paramLabel = "NAME",
      description =
          "gptq: read by most loaders; gptq_v2: needed for zero points of 0 (default: gptq for"
              + " --sym, gptq_v2 for --asym)")
  private String format;

  @Option(
      names = "--log-format",
      paramLabel = "NAME",
      description =
          "jsonl, or classic: beside the usual log also quantization-log.txt in the lines of"
              + " GPTQ-for-LLaMa, for scripts that plot those (default: jsonl)")
  private LogFormat logFormat = LogFormat.JSONL;

  @Option(
      names = "--report",
      paramLabel = "DIR",
      description =
          "folder for a page about the run with its settings, times, errors and plots, index.html")
  private Path report;

  @Option(names = "--overwrite", description = "replace the output folder when done")
  private boolean overwrite;

  @Option(
      names = "--resume",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description = "go on from the finished blocks of an interrupted run (default: on)")
  private boolean resume;

  @Option(
      names = "--dry-run",
      description =
          "check everything, say what would be done and how much memory it needs, and stop")
  private boolean dryRun;

  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption outputOption;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = outputOption.console(spec);
    QuantizationSettings settings =
        new QuantizationSettings(
            method,
            options.with(bits, groupSize),
            options.target(),
            trueSequential,
            Optional.ofNullable(include),
            Optional.ofNullable(exclude));
    GptqConfig config = Formats.config(settings, Optional.ofNullable(format));
    try (Model opened = Model.open(model)) {
      RunRequest request =
          new RunRequest(
              settings,
              config,
              output,
              overwrite,
              resume,
              observe.observing(settings),
              logFormat == LogFormat.CLASSIC);
      QuantizationRun run = new QuantizationRun(opened, request, console);
      run.check();
      ImmutableList<int[]> windows =
          method == Method.RTN
              ? ImmutableList.of()
              : calibration.windows(opened, options.quality(), console);
      if (dryRun) {
        run.plan(windows, console);
        return ExitStatus.DONE;
      }
      try (Backend backend = backendOption.open(console)) {
        QuantizationSummary summary = run.execute(backend, windows);
        if (report != null) {
          System.setProperty("java.awt.headless", "true");
          console.note("wrote " + RunReport.write(report, model, request, backend, summary));
        }
        if (outputOption.json()) {
          console.result(Json.line(summary.json(backend, output, settings.options())));
        } else {
          summary.lines(output).forEach(console::result);
        }
      }
    }
    return ExitStatus.DONE;
  }
}
