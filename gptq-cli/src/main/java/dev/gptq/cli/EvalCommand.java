package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import com.google.common.collect.Sets;
import dev.gptq.backend.Backend;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.Interruption;
import dev.gptq.cli.console.JsonOutput;
import dev.gptq.cli.console.ProgressLines;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.cli.options.BackendOption;
import dev.gptq.cli.options.LoadingOption;
import dev.gptq.cli.options.ModelOption;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.cli.options.TaskOptions;
import dev.gptq.cli.options.TextOptions;
import dev.gptq.cli.report.CommandText;
import dev.gptq.cli.report.DivergenceReport;
import dev.gptq.cli.report.EvaluationPage;
import dev.gptq.cli.report.HtmlPage;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.evaluation.Evaluation;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.quantizer.export.ModelCard;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.IntConsumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures perplexity, divergence from another model, or accuracy in tasks. */
@Command(
    name = "eval",
    description = {
      "Measures the perplexity of a model, full-precision or quantized, or its accuracy in tasks.",
      "Text is tokenised as one stream without special tokens and cut into windows that do not"
          + " overlap; the rest is dropped. A quantized model runs on its packed weights.",
      "With --against it also says how far the predictions are from those of another model.",
      "With --tasks it asks the model questions and counts right answers, as lm-evaluation-harness"
          + " does.",
      "",
      "Example: gptq eval --model M-w4 --against M --text wiki.test.raw --seq-len 512",
      "         gptq eval --model M-w4 --against M --tasks piqa,arc_easy,hellaswag"
    },
    mixinStandardHelpOptions = true)
final class EvalCommand implements Callable<Integer> {
  @Mixin private ModelOption model;

  @Option(
      names = "--against",
      paramLabel = "MODEL",
      description =
          "compare the predictions with those of this model, the full-precision original say: KL"
              + " divergence, most likely tokens, probabilities")
  private String against;

  @Option(
      names = "--card",
      description = "write the result into the model card (README.md) of the quantized model")
  private boolean card;

  @Option(
      names = "--report",
      paramLabel = "DIR",
      description =
          "folder for a page with what was measured, a chart of the errors of the quantization, and"
              + " what engines will need, index.html; needs no other file")
  private Path report;

  @Mixin private TextOptions text;
  @Mixin private TaskOptions tasks;
  @Mixin private LoadingOption loading;
  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    if (text.given() == tasks.given()) {
      throw new UsageException("give a text with --text FILE, or tasks with --tasks NAMES");
    }
    if (tasks.given()) {
      if (loading.loading() == Loading.BLOCKS) {
        throw new UsageException(
            "--load blocks is for --text: each question is a text of its own, and a block would be"
                + " loaded for each of them. Leave it out; a model that does not fit is measured with"
                + " --text, or with --tasks on a GPU or machine with more memory");
      }
      return new TaskMeasurement(tasks, text.bos(), console, output.json(), page())
          .run(model, Optional.ofNullable(against), backendOption);
    }
    Path measured = model.folder(console);
    try (Backend backend = backendOption.open(console);
        Evaluation evaluation =
            Evaluation.of(measured, text.text(console), backend, loading.loading());
        Interruption _ =
            Interruption.losing(console, "; of a measurement that has no end nothing is kept")) {
      ImmutableSet<String> known = evaluation.warnings();
      known.forEach(console::warning);
      IntConsumer progress = ProgressLines.windows(console, evaluation.windows().size());
      if (against == null) {
        measure(measured, evaluation, backend, progress, console);
      } else {
        compare(measured, evaluation, backend, progress, console);
      }
      Sets.difference(evaluation.warnings(), known).forEach(console::warning);
    }
    return ExitStatus.DONE;
  }

  private Optional<EvaluationPage> page() {
    return Optional.ofNullable(report)
        .map(folder -> new EvaluationPage(folder, CommandText.of(spec)));
  }

  /** What was measured, for the title of a page. */
  static String title(String model, Optional<String> against) {
    return last(model) + against.map(base -> " beside " + last(base)).orElse("");
  }

  private void measure(
      Path measured, Evaluation evaluation, Backend backend, IntConsumer progress, Console console)
      throws IOException {
    if (report != null) {
      HtmlPage.requirePlace(report, List.of(measured));
    }
    long start = System.nanoTime();
    Perplexity result = evaluation.perplexity(progress);
    double seconds = (System.nanoTime() - start) / 1e9;
    String line =
        String.format(
            Locale.ROOT,
            "perplexity %.4f over %d windows of %d tokens (%s, %.0f tokens/s)",
            result.perplexity(),
            result.windows(),
            result.length(),
            Console.time(seconds),
            (double) result.windows() * result.length() / seconds);
    if (report != null) {
      String title = title(model.name(), Optional.empty()) + " on " + text.title();
      console.note(
          "wrote "
              + page()
                  .orElseThrow()
                  .write(title, backend, measured, Optional.empty(), page -> page.paragraph(line)));
    }
    if (card) {
      record(
          measured,
          evaluation,
          String.format(Locale.ROOT, "Perplexity %.4f", result.perplexity()),
          "",
          console);
    }
    long tokens = (long) result.windows() * result.length();
    if (output.json()) {
      console.result(
          JsonOutput.line(
              JsonOutput.command("eval", backend)
                  .put("model", model.name())
                  .put("perplexity", result.perplexity())
                  .put("tokens", tokens)
                  .put("windows", result.windows())
                  .put("seq_len", result.length())
                  .put("seconds", seconds)
                  .put("tokens_per_second", tokens / seconds)));
    } else {
      console.result(line);
    }
  }

  private void compare(
      Path measured, Evaluation evaluation, Backend backend, IntConsumer progress, Console console)
      throws IOException {
    Path base = HubFiles.model(against, console);
    if (report != null) {
      HtmlPage.requirePlace(report, List.of(measured, base));
    }
    Divergence result = evaluation.against(base, progress);
    if (report != null) {
      String title = title(model.name(), Optional.of(against)) + " on " + text.title();
      console.note(
          "wrote "
              + page()
                  .orElseThrow()
                  .write(
                      title,
                      backend,
                      measured,
                      Optional.of(base),
                      page -> DivergenceReport.addTo(page, result)));
    }
    if (card) {
      record(
          measured,
          evaluation,
          String.format(
              Locale.ROOT,
              "KL divergence from the original %.5f ± %.5f, perplexity %.4f where the original has %.4f",
              result.kl().mean(),
              result.kl().standardError(),
              result.perplexity(),
              result.basePerplexity()),
          " --against " + last(against),
          console);
    }
    if (output.json()) {
      console.result(
          JsonOutput.line(
              DivergenceReport.json(result, JsonOutput.command("eval", backend))
                  .put("model", model.name())
                  .put("against", against)
                  .put("windows", evaluation.windows().size())
                  .put("seq_len", evaluation.windows().getFirst().length)));
    } else {
      DivergenceReport.lines(result).forEach(console::result);
    }
  }

  private void record(
      Path measured, Evaluation evaluation, String results, String original, Console console)
      throws IOException {
    int windows = evaluation.windows().size();
    int length = evaluation.windows().getFirst().length;
    Path written =
        ModelCard.record(
            measured,
            ImmutableList.of(
                "%s, over %d windows of %d tokens of %s:"
                    .formatted(results, windows, length, text.title()),
                "",
                "```sh",
                "gptq eval --model %s%s --text %s --seq-len %d --windows %d"
                    .formatted(last(model.name()), original, text.title(), length, windows),
                "```"));
    console.note("wrote the result into " + written);
  }

  /** A name on the hub as it is, and of a place here its last part only. */
  private static String last(String name) {
    Path file = Path.of(name);
    return Files.exists(file) ? file.toAbsolutePath().normalize().getFileName().toString() : name;
  }
}
