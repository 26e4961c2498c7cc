package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.quantizer.pipeline.Quality;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** The options that say which text GPTQ sees. */
final class CalibrationOptions {
  /** How windows are taken from the text. */
  enum Sampling {
    /** At random places. */
    RANDOM,
    /** At equal distances. */
    EVEN
  }

  @Option(
      names = "--calibration",
      paramLabel = "FILE",
      arity = "1..*",
      description =
          "calibration text: plain text, .jsonl (field text) or .json.gz; repeatable (default: the"
              + " novel that comes with the demo; text like your own use is better)")
  private List<Path> files = new ArrayList<>();

  @Option(
      names = "--samples",
      paramLabel = "N",
      description = "calibration windows (default: 128, with --quality best 192)")
  private Integer chosenSamples;

  @Option(
      names = "--seq-len",
      paramLabel = "N",
      description = "tokens of a window (default: 2048, or the model's context if that is less)")
  private int length = 2048;

  @Option(
      names = "--sampling",
      paramLabel = "HOW",
      description = "random or even places of the text (default: random)")
  private Sampling sampling = Sampling.RANDOM;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "seed of random places (default: ${DEFAULT-VALUE})")
  private long seed = 0;

  int length() {
    return length;
  }

  /** The windows of one draw. */
  ImmutableList<int[]> windows(Model model, Quality quality, Console console) throws IOException {
    return draws(model, quality, 1, console).getFirst();
  }

  /** The windows of several draws, each with the next seed. */
  ImmutableList<ImmutableList<int[]>> draws(
      Model model, Quality quality, int count, Console console) throws IOException {
    int samples = chosenSamples == null ? quality.samples() : chosenSamples;
    if (samples < 1) {
      throw new UsageException("--samples must be at least 1 but is " + samples);
    }
    if (length < 1) {
      throw new UsageException("--seq-len must be at least 1 but is " + length);
    }
    if (count < 1) {
      throw new UsageException("--seeds must be at least 1 but is " + count);
    }
    if (count > 1 && sampling == Sampling.EVEN) {
      throw new UsageException(
          "--seeds " + count + " needs --sampling random: even places do not depend on a seed");
    }
    List<Path> texts = files;
    if (texts.isEmpty()) {
      texts = List.of(Home.calibration());
      console.note(
          "calibrating with the bundled novel; --calibration FILE with text like your own use gives"
              + " a better model");
    }
    int window = Math.min(length, model.spec().context());
    try (Tokenizer tokenizer = model.tokenizer()) {
      int[] stream = TokenStream.of(tokenizer, texts);
      ImmutableList.Builder<ImmutableList<int[]>> draws = ImmutableList.builder();
      for (int i = 0; i < count; i++) {
        draws.add(
            switch (sampling) {
              case EVEN -> TokenWindows.even(stream, samples, window);
              case RANDOM -> TokenWindows.random(stream, samples, window, seed + i);
            });
      }
      return draws.build();
    }
  }
}
