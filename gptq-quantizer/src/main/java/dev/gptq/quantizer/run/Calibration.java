package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenStream;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalInt;

/**
 * The text that GPTQ sees.
 *
 * @param files texts: plain, JSON lines, or gzipped
 * @param samples windows; as many as the quality asks for if empty
 * @param length tokens of a window, cut to the model's context
 * @param sampling how windows are taken from the text
 * @param seed of random places
 */
public record Calibration(
    ImmutableList<Path> files, OptionalInt samples, int length, Sampling sampling, long seed) {

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
    if (length < 1) {
      throw new RequestException("--seq-len must be at least 1 but is " + length);
    }
  }

  /** What to say where there is no text. */
  static RequestException missing() {
    return new RequestException("GPTQ needs calibration text; give at least one file");
  }

  /** As many random windows as the quality asks for. */
  public static Calibration of(Path... files) {
    return new Calibration(
        ImmutableList.copyOf(files), OptionalInt.empty(), DEFAULT_LENGTH, Sampling.RANDOM, 0);
  }

  /** The same text with that many windows. */
  public Calibration withSamples(int count) {
    return new Calibration(files, OptionalInt.of(count), length, sampling, seed);
  }

  /** The same text in windows of that many tokens. */
  public Calibration withLength(int tokens) {
    return new Calibration(files, samples, tokens, sampling, seed);
  }

  /** The same text, windows taken in another way. */
  public Calibration withSampling(Sampling other) {
    return new Calibration(files, samples, length, other, seed);
  }

  /**
   * Several draws of windows, each with the next seed.
   *
   * @param usual number of windows where none was asked for
   */
  public ImmutableList<ImmutableList<int[]>> draws(Model model, int usual, int count)
      throws IOException {
    if (count < 1) {
      throw new RequestException("--seeds must be at least 1 but is " + count);
    }
    if (count > 1 && sampling == Sampling.EVEN) {
      throw new RequestException(
          "--seeds " + count + " needs --sampling random: even places do not depend on a seed");
    }
    int window = Math.min(length, model.spec().context());
    int windows = samples.orElse(usual);
    try (Tokenizer tokenizer = model.tokenizer()) {
      int[] stream = TokenStream.of(tokenizer, files);
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
