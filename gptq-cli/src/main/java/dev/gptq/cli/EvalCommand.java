package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.forward.Decoder;
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
          + " overlap; the rest is dropped. A quantized model runs on its packed weights."
    },
    mixinStandardHelpOptions = true)
final class EvalCommand implements Callable<Integer> {
  @Option(names = "--model", required = true, paramLabel = "DIR", description = "model folder")
  private Path model;

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
}
