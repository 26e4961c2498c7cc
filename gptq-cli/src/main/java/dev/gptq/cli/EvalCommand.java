package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.forward.Decoder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Measures perplexity. */
@Command(
    name = "eval",
    description = {
      "Measures the perplexity of a model, full-precision or quantized.",
      "Text is tokenised as one stream without special tokens and cut into windows that do not"
          + " overlap; the rest is dropped. A quantized model runs on its packed weights.",
      "With --against it also says how far the predictions are from those of another model.",
      "",
      "Example: gptq eval --model M-w4 --against M --text wiki.test.raw --seq-len 512"
    },
    mixinStandardHelpOptions = true)
final class EvalCommand implements Callable<Integer> {
  @Option(names = "--model", required = true, paramLabel = "DIR", description = "model folder")
  private Path model;

  @Option(
      names = "--against",
      paramLabel = "DIR",
      description =
          "compare the predictions with those of this model, the full-precision original say: KL"
              + " divergence, most likely tokens, probabilities")
  private Path against;

  @Mixin private EvaluationText text;
  @Mixin private BackendOption backendOption;
  @Mixin private OutputOption output;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    Console console = output.console(spec);
    try (Model opened = Model.open(model)) {
      ImmutableList<int[]> windows = text.windows(opened);
      try (Backend backend = backendOption.open(console);
          Decoder decoder = opened.load(backend)) {
        opened.warnings().forEach(warning -> console.note("warning: " + warning));
        if (against != null) {
          compare(decoder, windows, console);
          return ExitStatus.DONE;
        }
        long start = System.nanoTime();
        Perplexity result = Perplexity.of(decoder, windows, Progress.windows(console, windows));
        double seconds = (System.nanoTime() - start) / 1e9;
        long tokens = (long) result.windows() * result.length();
        if (output.json()) {
          console.result(
              Json.line(
                  Json.command("eval", backend)
                      .put("model", model.toString())
                      .put("perplexity", result.perplexity())
                      .put("tokens", tokens)
                      .put("windows", result.windows())
                      .put("seq_len", result.length())
                      .put("seconds", seconds)
                      .put("tokens_per_second", tokens / seconds)));
        } else {
          console.result(
              String.format(
                  Locale.ROOT,
                  "perplexity %.4f over %d windows of %d tokens (%s, %.0f tokens/s)",
                  result.perplexity(),
                  result.windows(),
                  result.length(),
                  Console.time(seconds),
                  tokens / seconds));
        }
      }
    }
    return ExitStatus.DONE;
  }

  private void compare(Decoder decoder, ImmutableList<int[]> windows, Console console)
      throws IOException {
    try (Model base = Model.open(against);
        Decoder original = base.load(decoder.backend())) {
      if (original.spec().vocabulary() != decoder.spec().vocabulary()) {
        throw new UsageException(
            against
                + " has a vocabulary of "
                + original.spec().vocabulary()
                + " tokens and "
                + model
                + " one of "
                + decoder.spec().vocabulary()
                + "; --against wants the model that was quantized");
      }
      Divergence result =
          Divergence.of(original, decoder, windows, Progress.windows(console, windows));
      if (output.json()) {
        console.result(
            Json.line(
                DivergenceReport.json(result, Json.command("eval", decoder.backend()))
                    .put("model", model.toString())
                    .put("against", against.toString())
                    .put("windows", windows.size())
                    .put("seq_len", windows.getFirst().length)));
      } else {
        DivergenceReport.lines(result).forEach(console::result);
      }
    }
  }
}
