package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import picocli.CommandLine.Option;

/** The options that say on which text a model is measured. */
final class EvaluationText {
  @Option(
      names = "--text",
      required = true,
      paramLabel = "FILE",
      description = "text to measure on: .txt or other plain text, .jsonl, .json.gz")
  private Path file;

  @Option(
      names = "--seq-len",
      paramLabel = "N",
      description = "tokens of a window (default: 2048, or the model's context if that is less)")
  private int length = 2048;

  @Option(
      names = "--windows",
      paramLabel = "N",
      description = "measure the first N windows only (default: all)")
  private Integer windows;

  ImmutableList<int[]> windows(Model model) throws IOException {
    return windows(model, file, length, windows);
  }

  /** Windows that do not overlap, the first {@code limit} of them if that is given. */
  static ImmutableList<int[]> windows(Model model, Path file, int length, Integer limit)
      throws IOException {
    if (length < 2) {
      throw new UsageException("--seq-len must be at least 2 but is " + length);
    }
    if (limit != null && limit < 1) {
      throw new UsageException("--windows must be at least 1 but is " + limit);
    }
    try (Tokenizer tokenizer = model.tokenizer()) {
      return TokenWindows.consecutive(
          TokenStream.of(tokenizer, List.of(file)),
          Math.min(length, model.spec().context()),
          limit == null ? OptionalInt.empty() : OptionalInt.of(limit));
    }
  }
}
