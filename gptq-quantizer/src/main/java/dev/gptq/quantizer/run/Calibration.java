package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.chat.ChatTemplate;
import dev.gptq.models.chat.ChatTurns;
import dev.gptq.models.text.Bos;
import dev.gptq.models.text.Conversations;
import dev.gptq.models.text.Documents;
import dev.gptq.models.text.TextRules;
import dev.gptq.models.text.TokenStream;
import dev.gptq.models.text.WindowLength;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.quantizer.tune.Tuning;
import dev.gptq.quantizer.tune.TuningText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * The text that GPTQ sees.
 *
 * @param files plain texts, or rows with text; see {@link Documents}
 * @param samples windows; as many as the quality asks for if empty
 * @param length tokens of a window, cut to the model's context; {@value #DEFAULT_LENGTH} or the
 *     context if empty
 * @param sampling how windows are taken from the text
 * @param seed of random places
 * @param acrossDocuments whether windows are taken wherever they fall; otherwise within one
 *     document where that is long enough, and else from the beginning of one
 * @param rules how the files become tokens
 */
public record Calibration(
    ImmutableList<Path> files,
    OptionalInt samples,
    OptionalInt length,
    Sampling sampling,
    long seed,
    boolean acrossDocuments,
    TextRules rules) {

  /** Tokens of a window unless something else is asked for. */
  public static final int DEFAULT_LENGTH = 2048;

  /** Draws of the same text. */
  private static final int MOST_DRAWS = 1000;

  /** Windows that may repeat one another without a word of it. */
  private static final int FEW = 1024;

  /** How windows are taken from the text. */
  public enum Sampling {
    /** At random places. */
    RANDOM,
    /** At equal distances. */
    EVEN
  }

  /** Checks the ranges. */
  public Calibration {
    if (files.isEmpty()) {
      throw missing();
    }
    if (samples.isPresent() && samples.getAsInt() < 1) {
      throw new RequestException("--samples must be at least 1 but is " + samples.getAsInt());
    }
    if (length.isPresent() && length.getAsInt() < 1) {
      throw new RequestException("--seq-len must be at least 1 but is " + length.getAsInt());
    }
  }

  /** What to say where there is no text. */
  static RequestException missing() {
    return new RequestException("GPTQ needs calibration text; give at least one file");
  }

  /** As many random windows as the quality asks for. */
  public static Calibration of(Path... files) {
    return new Calibration(
        ImmutableList.copyOf(files),
        OptionalInt.empty(),
        OptionalInt.empty(),
        Sampling.RANDOM,
        0,
        false,
        TextRules.USUALLY);
  }

  /** What a model card says of it: names of files, without where they lie, and how much of them. */
  String summary(int usualSamples) {
    return "%d windows of up to %d tokens of %s"
        .formatted(
            samples.orElse(usualSamples),
            length.orElse(DEFAULT_LENGTH),
            files.stream()
                .map(file -> file.getFileName().toString())
                .collect(Collectors.joining(", ")));
  }

  /** Other text, read and cut into windows alike. */
  public Calibration withFiles(ImmutableList<Path> others) {
    return new Calibration(others, samples, length, sampling, seed, acrossDocuments, rules);
  }

  /** The same text with that many windows. */
  public Calibration withSamples(int count) {
    return new Calibration(
        files, OptionalInt.of(count), length, sampling, seed, acrossDocuments, rules);
  }

  /** The same text in windows of that many tokens. */
  public Calibration withLength(int tokens) {
    return new Calibration(
        files, samples, OptionalInt.of(tokens), sampling, seed, acrossDocuments, rules);
  }

  /** The same text, windows taken in another way. */
  public Calibration withSampling(Sampling other) {
    return new Calibration(files, samples, length, other, seed, acrossDocuments, rules);
  }

  /** The same text with or without BOS tokens. */
  public Calibration withBos(Bos other) {
    return new Calibration(
        files, samples, length, sampling, seed, acrossDocuments, rules.withBos(other));
  }

  /** The text in a model's tokens; {@code notes} hears what of it was left out. */
  public TokenStream stream(Model model, Consumer<String> notes) throws IOException {
    Conversations conversations = Conversations.of(model.folder(), notes);
    try (Tokenizer tokenizer = model.tokenizer()) {
      return TokenStream.of(tokenizer, files, rules, new Documents(rules, conversations, notes));
    }
  }

  /** Several draws of windows of the text, each with the next seed. */
  public ImmutableList<ImmutableList<int[]>> draws(
      Model model, int usual, int count, Consumer<String> notes) throws IOException {
    return draws(stream(model, notes), model, usual, count, notes);
  }

  /**
   * Several draws of windows, each with the next seed.
   *
   * @param model whose context windows are cut to
   * @param usual number of windows where none was asked for
   * @param notes hears what was asked for and could not be given
   */
  ImmutableList<ImmutableList<int[]>> draws(
      TokenStream stream, Model model, int usual, int count, Consumer<String> notes) {
    if (count < 1 || count > MOST_DRAWS) {
      throw new RequestException(
          "--seeds must be between 1 and %d but is %d".formatted(MOST_DRAWS, count));
    }
    if (count > 1 && sampling == Sampling.EVEN) {
      throw new RequestException(
          "--seeds " + count + " needs --sampling random: even places do not depend on a seed");
    }
    int window = WindowLength.of(length, DEFAULT_LENGTH, model, notes);
    int windows = samples.orElse(usual);
    if (windows > FEW && windows > stream.size()) {
      throw new RequestException(
          "--samples is %d, but the calibration text has %d tokens, so that windows would only repeat"
                  .formatted(windows, stream.size())
              + " others; give fewer samples or more text");
    }
    if (stream.size() < (long) windows * window) {
      notes.accept(
          "the calibration text has %d tokens, so that %d windows of %d overlap; more text makes a"
                  .formatted(stream.size(), windows, window)
              + " better model");
    }
    ImmutableList.Builder<ImmutableList<int[]>> draws = ImmutableList.builder();
    for (int i = 0; i < count; i++) {
      draws.add(
          switch (sampling) {
            case EVEN -> stream.even(windows, window, acrossDocuments);
            case RANDOM -> stream.random(windows, window, seed + i, acrossDocuments);
          });
    }
    return draws.build();
  }

  /**
   * The text to tune with: windows at equal distances that do not overlap, all that it has or as
   * many as tuning takes.
   *
   * @param length tokens of a window
   * @param notes hears what of the text was left out
   */
  public TuningText tuningText(Model model, int length, Tuning tuning, Consumer<String> notes)
      throws IOException {
    TokenStream stream = stream(model, notes);
    int windows = Math.min(TuningText.enough(tuning), stream.size() / length);
    if (windows < 2) {
      throw new RequestException(
          "tuning holds out a tenth of its windows and needs at least two, and the text has %d tokens, %d to a window; give more text (--tune-text), or shorter windows (--seq-len)"
              .formatted(stream.size(), length));
    }
    return withChats(model, tuning, TuningText.of(stream.even(windows, length, acrossDocuments)));
  }

  /** A text with what stands around turns of conversations, if the model is to write such. */
  static TuningText withChats(Model model, Tuning tuning, TuningText text) throws IOException {
    if (!tuning.chats()) {
      return text;
    }
    Optional<ChatTemplate> template = ChatTemplate.find(model.folder());
    Optional<ChatTurns> turns = Optional.empty();
    if (template.isPresent()) {
      try (Tokenizer tokenizer = model.tokenizer()) {
        turns = ChatTurns.of(template.get(), tokenizer::encode, model.spec().endTokens());
      }
    }
    ChatTurns found =
        turns.orElseThrow(() ->
            new RequestException(
                "--tune-chats is not possible: %s has no chat template with turns that end with tokens which end a text; leave it out"
                    .formatted(model.path())));
    if (2 * found.opening().length() > text.length()) {
      throw new RequestException(
          "--tune-chats is not possible: windows of %d tokens leave conversations no room, which begin with %d; give longer ones (--seq-len)"
              .formatted(text.length(), found.opening().length()));
    }
    return text.withChats(found);
  }

  /**
   * Windows at random places beside those of a draw with this seed, so many that all are at most
   * {@code times} as many, or as many as the text has without overlap.
   */
  ImmutableList<int[]> further(TokenStream stream, ImmutableList<int[]> first, int times) {
    int length = first.getFirst().length;
    long most = Math.min((long) times * first.size(), stream.size() / length);
    int count = Math.toIntExact(Math.max(most, first.size()));
    return stream
        .random(count, length, seed, acrossDocuments)
        .subList(sampling == Sampling.RANDOM ? first.size() : 0, count);
  }
}
