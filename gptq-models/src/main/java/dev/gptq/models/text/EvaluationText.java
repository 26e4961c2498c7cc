package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * The text that a model is measured on.
 *
 * @param file plain text, JSON lines, or gzipped
 * @param length tokens of a window, cut to the model's context
 * @param limit windows at most; all if empty
 * @param protocol how published figures make windows; the whole text as one stream without special
 *     tokens if empty
 */
public record EvaluationText(
    Path file, int length, OptionalInt limit, Optional<Protocol> protocol) {

  /** Tokens of a window unless something else is asked for. */
  public static final int DEFAULT_LENGTH = 2048;

  /** The whole text in windows of {@value #DEFAULT_LENGTH} tokens. */
  public static EvaluationText of(Path file) {
    return new EvaluationText(file, DEFAULT_LENGTH, OptionalInt.empty(), Optional.empty());
  }

  /** The same text in windows of that many tokens. */
  public EvaluationText withLength(int tokens) {
    return new EvaluationText(file, tokens, limit, protocol);
  }

  /** The first windows of the same text. */
  public EvaluationText withLimit(int windows) {
    return new EvaluationText(file, length, OptionalInt.of(windows), protocol);
  }

  /** Its windows, which do not overlap, in a model's tokens. */
  public ImmutableList<int[]> windows(Model model) throws IOException {
    int window = Math.min(length, model.spec().context());
    try (Tokenizer tokenizer = model.tokenizer()) {
      if (protocol.isEmpty()) {
        return TokenWindows.consecutive(TokenStream.of(tokenizer, List.of(file)), window, limit);
      }
      ImmutableList<int[]> all = protocol.get().windows(file, tokenizer, window);
      return limit.isPresent() ? all.subList(0, Math.min(limit.getAsInt(), all.size())) : all;
    }
  }
}
