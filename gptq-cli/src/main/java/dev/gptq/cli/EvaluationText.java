package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.text.Protocol;
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

  @Option(
      names = "--protocol",
      paramLabel = "NAME",
      description =
          "make windows as published figures do: wikitext2, ptb, ptb-new, c4-new (default: the whole"
              + " text as one stream without special tokens)")
  private String protocol;

  ImmutableList<int[]> windows(Model model) throws IOException {
    if (protocol == null) {
      return windows(model, file, length, windows);
    }
    check(length, windows);
    try (Tokenizer tokenizer = model.tokenizer()) {
      ImmutableList<int[]> all =
          Protocol.of(protocol).windows(file, tokenizer, Math.min(length, model.spec().context()));
      return windows == null ? all : all.subList(0, Math.min(windows, all.size()));
    }
  }

  /** Windows that do not overlap, the first {@code limit} of them if that is given. */
  static ImmutableList<int[]> windows(Model model, Path file, int length, Integer limit)
      throws IOException {
    check(length, limit);
    try (Tokenizer tokenizer = model.tokenizer()) {
      return TokenWindows.consecutive(
          TokenStream.of(tokenizer, List.of(file)),
          Math.min(length, model.spec().context()),
          limit == null ? OptionalInt.empty() : OptionalInt.of(limit));
    }
  }

  private static void check(int length, Integer limit) {
    if (length < 2) {
      throw new UsageException("--seq-len must be at least 2 but is " + length);
    }
    if (limit != null && limit < 1) {
      throw new UsageException("--windows must be at least 1 but is " + limit);
    }
  }
}
