package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenStream;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.models.text.WindowLength;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.function.Consumer;

/**
 * The text that GPTQ sees.
 *
 * @param files texts: plain, JSON lines, or gzipped
 * @param samples windows; as many as the quality asks for if empty
 * @param length tokens of a window, cut to the model's context; {@value #DEFAULT_LENGTH} or the
 *     context if empty
 * @param sampling how windows are taken from the text
 * @param seed of random places
 */
public record Calibration(
    ImmutableList<Path> files,
    OptionalInt samples,
    OptionalInt length,
    Sampling sampling,
    long seed) {

  /** Tokens of a window unless something else is asked for. */
  public static final int DEFAULT_LENGTH = 2048;

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
        ImmutableList.copyOf(files), OptionalInt.empty(), OptionalInt.empty(), Sampling.RANDOM, 0);
  }

  /** The same text with that many windows. */
  public Calibration withSamples(int count) {
    return new Calibration(files, OptionalInt.of(count), length, sampling, seed);
  }

  /** The same text in windows of that many tokens. */
  public Calibration withLength(int tokens) {
    return new Calibration(files, samples, OptionalInt.of(tokens), sampling, seed);
  }

  /** The same text, windows taken in another way. */
  public Calibration withSampling(Sampling other) {
    return new Calibration(files, samples, length, other, seed);
  }

  /**
   * Several draws of windows, each with the next seed.
   *
   * @param usual number of windows where none was asked for
   * @param notes hears what was asked for and could not be given
   */
  public ImmutableList<ImmutableList<int[]>> draws(
      Model model, int usual, int count, Consumer<String> notes) throws IOException {
    if (count < 1) {
      throw new RequestException("--seeds must be at least 1 but is " + count);
    }
    if (count > 1 && sampling == Sampling.EVEN) {
      throw new RequestException(
          "--seeds " + count + " needs --sampling random: even places do not depend on a seed");
    }
    int window = WindowLength.of(length, DEFAULT_LENGTH, model.spec().context(), notes);
    int windows = samples.orElse(usual);
    try (Tokenizer tokenizer = model.tokenizer()) {
      int[] stream = TokenStream.of(tokenizer, files, notes);
      if (stream.length < (long) windows * window) {
        notes.accept(
            "the calibration text has %d tokens, so that %d windows of %d overlap; more text makes a"
                    .formatted(stream.length, windows, window)
                + " better model");
      }
      ImmutableList.Builder<ImmutableList<int[]>> draws = ImmutableList.builder();
      for (int i = 0; i < count; i++) {
        draws.add(
            switch (sampling) {
              case EVEN -> TokenWindows.even(stream, windows, window);
              case RANDOM -> TokenWindows.random(stream, windows, window, seed + i);
            });
      }
      return draws.build();
    }
  }
}
