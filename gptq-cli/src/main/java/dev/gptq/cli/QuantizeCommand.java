package dev.gptq.cli;

import com.google.common.base.Throwables;
import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.Interruption;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.MeasuringProgress;
import dev.gptq.cli.console.QuantizationProgress;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.CalibrationOptions;
import dev.gptq.cli.options.EndsOption;
import dev.gptq.cli.options.ImatrixOptions;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.ObserveOptions;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.cli.options.PublicationOptions;
import dev.gptq.cli.options.QualityOptions;
import dev.gptq.cli.options.QuantizationOptions;
import dev.gptq.cli.options.RegexConverter;
import dev.gptq.cli.options.SequentialOption;
import dev.gptq.cli.options.TuneOptions;
import dev.gptq.cli.options.TypeOption;
import dev.gptq.cli.options.WidthOptions;
import dev.gptq.cli.report.CommandText;
import dev.gptq.cli.report.HtmlPage;
import dev.gptq.cli.report.PlanReport;
import dev.gptq.cli.report.QualityReport;
import dev.gptq.cli.report.QuantizationReport;
import dev.gptq.cli.report.RunReport;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.quantizer.pipeline.Forecast;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.run.KeptStates;
import dev.gptq.quantizer.run.Quantization;
import dev.gptq.quantizer.run.QuantizationPlan;
import dev.gptq.quantizer.run.QuantizationSummary;
import dev.gptq.quantizer.study.QualityCheck;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import tools.jackson.databind.node.ObjectNode;

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

  @Mixin private ModelOption model;

  @Option(
      names = "--output",
      paramLabel = "DIR",
      description =
          "folder to write; must not exist or be empty (default: the model's name with -w4, or what"
              + " the bits or the type are, in this folder)")
  private Path output;

  @Mixin private WidthOptions widths;

  @Option(
      names = "--method",
      paramLabel = "NAME",
      description = "gptq, or rtn: round to nearest, without calibration (default: gptq)")
  private Method method = Method.GPTQ;

  @Mixin private QuantizationOptions options;

  @Mixin private SequentialOption sequential;
  @Mixin private ObserveOptions observe;
  @Mixin private TuneOptions tune;
  @Mixin private CalibrationOptions calibration;
  @Mixin private ImatrixOptions imatrix;

  @Option(
      names = "--expert-tokens",
      paramLabel = "N",
      description =
          "of a mixture: go on sampling until every expert has seen that many tokens, at most 16 times"
              + " as many windows or all of the text, and say which experts have not")
  private Integer expertTokens;

  @Option(
      names = "--include",
      paramLabel = "REGEX",
      converter = RegexConverter.class,
      description = "quantize only modules whose name this matches")
  private Pattern include;

  @Option(
      names = "--exclude",
      paramLabel = "REGEX",
      converter = RegexConverter.class,
      description = "do not quantize modules whose name this matches")
  private Pattern exclude;

  @Option(
      names = "--format",
      paramLabel = "NAMES",
      description = {
        "one or several of these, each loaded by:",
        "gptq: vLLM (4, 8 bits, symmetric), SGLang, GPTQModel, transformers (no experts, no mixed"
            + " settings); zero points from 1 on;",
        "gptq_v2: GPTQModel, transformers; also zero points of 0;",
        "compressed-tensors: vLLM, SGLang, transformers (symmetric); with --asym 4 and 8 bits;",
        "awq: vLLM, SGLang, transformers with GPTQModel; 4 bits, best with --asym;",
        "mlx: mlx-lm and what is built on it; groups of 32, 64 or 128.",
        "gguf: llama.cpp and what is built on it, as MODEL-TYPE.gguf in the folder; groups of a multiple"
            + " of 32, not scattered.",
        "Several get a folder each (default: gptq, but compressed-tensors where only that is served:"
            + " --asym, 2 and 3 bits, experts, mixed settings; gguf with --type)"
      })
  private String format;

  @Mixin private TypeOption type;
  @Mixin private EndsOption ends;
  @Mixin private PublicationOptions publication;

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
          "folder for a page about the run with its settings, times, sizes, a chart of its errors, what"
              + " was measured with --text, and what engines will need, index.html; needs no other file")
  private Path report;

  @Mixin private QualityOptions quality;

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
      names = "--keep-states",
      paramLabel = "WHEN",
      description =
          "auto, always or never: keep the newest hidden states, and what the backward pass found,"
              + " beside the finished blocks, so that going on does not compute those again (default:"
              + " auto, where the disk has room)")
  private KeptStates keptStates = KeptStates.AUTO;

  @Option(
      names = "--hidden-states",
      paramLabel = "WHERE",
      description =
          "device, host or files: where the hidden states of the calibration text lie while no block"
              + " works on them, and those of a backward pass until its way back. In the machine's memory"
              + " or in files beside the output they make the run slower and need little room on the"
              + " device; the result is the same (default: device, else where there is room)")
  private HiddenStates hiddenStates;

  @Option(
      names = "--dry-run",
      description =
          "open the backend, check everything, say what would be done and what memory, disk and time"
              + " it takes, and stop")
  private boolean dryRun;

  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption outputOption;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = outputOption.console(spec);
    if (output == null) {
      output = defaultOutput();
      console.note("the result goes to " + output + "; --output DIR names another folder");
    }
    Quantization quantization = quantization(console);
    if (report != null) {
      HtmlPage.requirePlace(report, List.of(model.folder(console), output));
    }
    FutureTask<QuantizationPlan> planning =
        new FutureTask<>(dryRun ? quantization::plan : quantization::lockedPlan);
    Thread.ofPlatform().name("plan").start(planning);
    List<String> notes = new ArrayList<>();
    try (Backend backend = open(notes, planning, console);
        QuantizationPlan plan = result(planning)) {
      notes.forEach(console::note);
      if (dryRun) {
        Forecast forecast = plan.forecast(backend);
        PlanReport.lines(plan, backend, forecast).forEach(console::result);
        plan.requireMemory(backend, forecast);
        return ExitStatus.DONE;
      }
      Optional<ImmutableList<int[]>> measured = quality.windows(plan, calibration, console);
      QuantizationSummary summary;
      try (QuantizationProgress progress = new QuantizationProgress(console)) {
        summary = plan.run(backend, progress);
      }
      tell(plan, backend, summary, measured, console);
    }
    return ExitStatus.DONE;
  }

  /**
   * Opens the backend while model and text are read. If both fail, the plan's failure is thrown,
   * and nothing is said of the backend.
   */
  private Backend open(List<String> notes, FutureTask<QuantizationPlan> planning, Console console)
      throws Exception {
    boolean opened = false;
    try {
      Backend backend = backendOption.open(notes::add);
      opened = true;
      return backend;
    } finally {
      if (!opened) {
        result(planning).close();
        notes.forEach(console::note);
      }
    }
  }

  private static QuantizationPlan result(FutureTask<QuantizationPlan> planning) throws Exception {
    try {
      return planning.get();
    } catch (ExecutionException e) {
      Throwables.throwIfInstanceOf(e.getCause(), Exception.class);
      Throwables.throwIfUnchecked(e.getCause());
      throw e;
    }
  }

  private Path defaultOutput() {
    String name = model.name().replaceAll("/+$|@[^/]*$|\\.gguf$", "");
    String own = name.substring(name.lastIndexOf('/') + 1);
    if (own.isEmpty() || own.startsWith(".")) {
      throw new UsageException("--model %s has no name; give --output DIR".formatted(model.name()));
    }
    return Path.of(own + "-" + type.name().orElse("w" + widths.bits()));
  }

  /** Measures, and says what came of it. */
  private void tell(
      QuantizationPlan plan,
      Backend backend,
      QuantizationSummary summary,
      Optional<ImmutableList<int[]>> measured,
      Console console)
      throws IOException {
    Optional<QualityReport> found = Optional.empty();
    if (measured.isPresent() || report != null) {
      try (Model made = Model.open(plan.place())) {
        if (measured.isPresent()) {
          found = Optional.of(check(plan, backend, made, measured.get(), console));
        }
        if (report != null) {
          RunReport page = new RunReport(model.name(), CommandText.of(spec), summary, found);
          console.note("wrote " + page.write(report, backend, plan.model(), made));
        }
      }
    }
    if (outputOption.json()) {
      ObjectNode json = QuantizationReport.json(summary, backend);
      found.ifPresent(checked -> checked.addTo(json));
      console.result(JsonOutput.line(json));
    } else {
      QuantizationReport.lines(summary).forEach(console::result);
      found.ifPresent(checked -> checked.lines().forEach(console::result));
    }
  }

  private QualityReport check(
      QuantizationPlan plan,
      Backend backend,
      Model made,
      ImmutableList<int[]> measured,
      Console console) {
    try (Interruption _ =
        Interruption.keeping(
            console, "; " + output + " is complete, what eval measures was not measured")) {
      QualityCheck check =
          QualityCheck.of(
              plan.model(),
              made,
              plan.request().settings(),
              measured,
              backend,
              Loading.AUTO,
              new MeasuringProgress(console),
              console::note);
      console.endProgress();
      return new QualityReport(check, quality.title());
    }
  }

  private Quantization quantization(Console console) throws IOException {
    QuantizationSettings settings =
        new QuantizationSettings(
            method,
            options.with(widths.bits(), widths.groupSize()),
            options.target(),
            options.quality().curvature(),
            sequential.trueSequential(),
            Optional.ofNullable(include),
            Optional.ofNullable(exclude));
    Quantization quantization =
        Quantization.of(model.folder(console))
            .settings(settings)
            .quality(options.quality())
            .to(output)
            .publication(publication.publication())
            .overwrite(overwrite)
            .resume(resume)
            .keepStates(keptStates)
            .classicLog(logFormat == LogFormat.CLASSIC);
    options.curvature().ifPresent(quantization::curvature);
    options.scaleBits().ifPresent(quantization::scaleBits);
    imatrix.apply(quantization, spec);
    if (method == Method.GPTQ && !imatrix.given()) {
      quantization.calibration(calibration.calibration(console));
    }
    if (widths.isFitting()) {
      quantization.fittingGroups();
    }
    if (hiddenStates != null) {
      quantization.hiddenStates(hiddenStates);
    }
    if (expertTokens != null) {
      quantization.expertTokens(expertTokens);
    }
    if (format != null) {
      quantization.format(format);
    }
    ends.type().ifPresent(quantization::ends);
    type.apply(quantization, spec);
    tune.tuning(options.quality().tunes()).ifPresent(quantization::tuning);
    quantization.tuningText(tune.text(console));
    observe.observing(settings).ifPresent(quantization::observing);
    return quantization;
  }
}
