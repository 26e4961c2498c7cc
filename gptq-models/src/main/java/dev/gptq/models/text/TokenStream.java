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
import java.util.function.IntUnaryOperator;

/**
 * The documents of text files as one stream of tokens, with what the model was trained to see
 * between two documents. Windows of it begin with a BOS token where {@link Bos} says so: a window
 * then has one token of the text less.
 */
public final class TokenStream {
  private final int[] tokens;
  private final DocumentBounds bounds;
  private final int[] before;
  private final String beginning;

  private TokenStream(int[] tokens, DocumentBounds bounds, int[] before, String beginning) {
    this.tokens = tokens;
    this.bounds = bounds;
    this.before = before;
    this.beginning = beginning;
  }

  /** Reads files; {@code rules} say what windows begin with. */
  public static TokenStream of(
      Tokenizer tokenizer, List<Path> files, TextRules rules, Documents documents)
      throws IOException {
    int[] before = rules.bos().before(tokenizer);
    int[] between = Bos.between(tokenizer);
    List<int[]> parts = new ArrayList<>();
    List<Integer> starts = new ArrayList<>();
    List<Integer> ends = new ArrayList<>();
    int size = 0;
    for (Path file : files) {
      for (String document : documents.read(file)) {
        int[] text = tokenizer.encode(document);
        if (text.length == 0) {
          continue;
        }
        // A chat template may have written the beginning already.
        if (!parts.isEmpty() && !(between.length > 0 && Bos.begins(text, between))) {
          parts.add(between);
          size += between.length;
        }
        parts.add(text);
        starts.add(size);
        size += text.length;
        ends.add(size);
      }
    }
    return new TokenStream(
        Ints.concat(parts.toArray(int[][]::new)),
        new DocumentBounds(starts, ends),
        before,
        tokenizer.decodeAll(before));
  }

  /** Tokens of the texts and between them. */
  public int size() {
    return tokens.length;
  }

  /** What every window begins with, if with anything. */
  public Optional<String> beginning() {
    return before.length == 0 ? Optional.empty() : Optional.of(beginning);
  }

  /** See {@link TokenWindows#even} and {@link DocumentBounds#moved}. */
  public ImmutableList<int[]> even(int samples, int length, boolean acrossDocuments) {
    int room = room(length);
    return begun(TokenWindows.even(tokens, samples, room, place(room, acrossDocuments)));
  }

  /** See {@link TokenWindows#random} and {@link DocumentBounds#moved}. */
  public ImmutableList<int[]> random(int samples, int length, long seed, boolean acrossDocuments) {
    int room = room(length);
    return begun(TokenWindows.random(tokens, samples, room, seed, place(room, acrossDocuments)));
  }

  private IntUnaryOperator place(int length, boolean acrossDocuments) {
    return acrossDocuments ? IntUnaryOperator.identity() : start -> bounds.moved(start, length);
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
