package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;

/**
 * The text that a model is measured on.
 *
 * @param file plain text, or rows with text; see {@link Documents}
 * @param length tokens of a window, cut to the model's context; {@value #DEFAULT_LENGTH} or the
 *     context if empty
 * @param limit windows at most; all if empty
 * @param protocol how published figures make windows; the whole text as one stream if empty
 * @param rules how the file becomes tokens; a protocol has its own rule for BOS
 */
public record EvaluationText(
    Path file,
    OptionalInt length,
    OptionalInt limit,
    Optional<Protocol> protocol,
    TextRules rules) {

  /** Tokens of a window unless something else is asked for. */
  public static final int DEFAULT_LENGTH = 2048;

  /** The whole text in windows of {@value #DEFAULT_LENGTH} tokens. */
  public static EvaluationText of(Path file) {
    return new EvaluationText(
        file, OptionalInt.empty(), OptionalInt.empty(), Optional.empty(), TextRules.USUALLY);
  }

  /** The same text in windows of that many tokens. */
  public EvaluationText withLength(int tokens) {
    return new EvaluationText(file, OptionalInt.of(tokens), limit, protocol, rules);
  }

  /** The first windows of the same text. */
  public EvaluationText withLimit(int windows) {
    return new EvaluationText(file, length, OptionalInt.of(windows), protocol, rules);
  }

  /** The same text with or without BOS tokens. */
  public EvaluationText withBos(Bos other) {
    return new EvaluationText(file, length, limit, protocol, rules.withBos(other));
  }

  /**
   * Its windows, which do not overlap, in a model's tokens.
   *
   * @param notes hears what was asked for and could not be given
   */
  public ImmutableList<int[]> windows(Model model, Consumer<String> notes) throws IOException {
    int window = WindowLength.of(length, DEFAULT_LENGTH, model, notes);
    ImmutableList<int[]> windows;
    try (Tokenizer tokenizer = model.tokenizer()) {
      if (protocol.isEmpty()) {
        Documents documents = new Documents(rules, Conversations.of(model.folder(), notes), notes);
        windows =
            TokenStream.of(tokenizer, List.of(file), rules, documents).consecutive(window, limit);
      } else {
        Documents documents = new Documents(rules, Conversations.plain(), notes);
        ImmutableList<int[]> all = protocol.get().windows(file, tokenizer, window, documents);
        windows = all.subList(0, Math.min(limit.orElse(all.size()), all.size()));
      }
    }
    if (windows.size() < limit.orElse(0)) {
      notes.accept(
          "%s has %d windows of %d tokens, fewer than the %d asked for"
              .formatted(file, windows.size(), window, limit.getAsInt()));
    }
    return windows;
  }
}
