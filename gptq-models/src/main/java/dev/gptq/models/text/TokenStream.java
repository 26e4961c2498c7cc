package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;

/**
 * The documents of text files as one stream of tokens, with what the model was trained to see
 * between two documents. Windows of it begin with a BOS token where {@link Bos} says so: a window
 * then has one token of the text less.
 */
public final class TokenStream {
  private final int[] tokens;
  private final int[] before;
  private final String beginning;

  private TokenStream(int[] tokens, int[] before, String beginning) {
    this.tokens = tokens;
    this.before = before;
    this.beginning = beginning;
  }

  /**
   * Reads files.
   *
   * @param conversations makes text of them
   * @param notes hears what of the files was left out
   */
  public static TokenStream of(
      Tokenizer tokenizer,
      List<Path> files,
      Bos bos,
      Conversations conversations,
      Consumer<String> notes)
      throws IOException {
    int[] before = bos.before(tokenizer);
    int[] between = Bos.between(tokenizer);
    List<int[]> parts = new ArrayList<>();
    for (Path file : files) {
      for (String document : CalibrationText.read(file, conversations, notes)) {
        int[] text = tokenizer.encode(document);
        // A chat template may have written the beginning already.
        if (!parts.isEmpty() && text.length > 0) {
          parts.add(between.length > 0 && Bos.begins(text, between) ? new int[0] : between);
        }
        parts.add(text);
      }
    }
    return new TokenStream(
        Ints.concat(parts.toArray(int[][]::new)), before, tokenizer.decodeAll(before));
  }

  /** Tokens of the texts and between them. */
  public int size() {
    return tokens.length;
  }

  /** What every window begins with, if with anything. */
  public Optional<String> beginning() {
    return before.length == 0 ? Optional.empty() : Optional.of(beginning);
  }

  /** See {@link TokenWindows#even}. */
  public ImmutableList<int[]> even(int samples, int length) {
    return begun(TokenWindows.even(tokens, samples, room(length)));
  }

  /** See {@link TokenWindows#random}. */
  public ImmutableList<int[]> random(int samples, int length, long seed) {
    return begun(TokenWindows.random(tokens, samples, room(length), seed));
  }

  /** See {@link TokenWindows#consecutive}. */
  public ImmutableList<int[]> consecutive(int length, OptionalInt limit) {
    return begun(TokenWindows.consecutive(tokens, room(length), limit));
  }

  private int room(int length) {
    if (length <= before.length) {
      throw new BadInputException(
          "windows of %d tokens have no room behind '%s'; take longer ones or --bos off"
              .formatted(length, beginning));
    }
    return length - before.length;
  }

  private ImmutableList<int[]> begun(ImmutableList<int[]> windows) {
    return before.length == 0
        ? windows
        : windows.stream()
            .map(window -> Ints.concat(before, window))
            .collect(ImmutableList.toImmutableList());
  }
}
