package dev.gptq.cli.options;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.models.text.TextRules;
import dev.gptq.quantizer.run.Calibration;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options that say which text GPTQ sees. */
public final class CalibrationOptions {
  @Option(
      names = "--calibration",
      paramLabel = "FILE",
      arity = "1..*",
      description =
          "calibration text: plain text, or rows of .jsonl, .csv, .tsv or .parquet (see --text-column), also compressed (.gz, .zst), or files of a"
              + " data set on the hub: hf:owner/name[@revision]/FILE; repeatable (default: the mixture of prose, code, answers and languages that comes along; text like your own use is better)")
  private List<String> files = new ArrayList<>();

  @Option(
      names = "--samples",
      paramLabel = "N",
      description = "calibration windows (default: 128, with --quality best and max 192)")
  private Integer chosenSamples;

  @Option(
      names = "--seq-len",
      paramLabel = "N",
      description = "tokens of a window (default: 2048, or the model's context if that is less)")
  private Integer chosenLength;

  @Option(
      names = "--sampling",
      paramLabel = "HOW",
      description = "random or even places of the text (default: random)")
  private Calibration.Sampling sampling = Calibration.Sampling.RANDOM;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "seed of random places (default: ${DEFAULT-VALUE})")
  private long seed = 0;

  @Option(
      names = "--across-documents",
      description =
          "take windows wherever they fall (default: within one document where it is long enough, else"
              + " whole documents from the beginning of one)")
  private boolean acrossDocuments;

  @Mixin private RulesOptions rules;

  /** How files become tokens. */
  public TextRules rules() {
    return rules.rules();
  }

  /** Tokens of a window, if they were given. */
  public OptionalInt length() {
    return chosenLength == null ? OptionalInt.empty() : OptionalInt.of(chosenLength);
  }

  /** What was asked for; says so where the bundled text is taken. */
  public Calibration calibration(Console console) throws IOException {
    ImmutableList.Builder<Path> texts = ImmutableList.builder();
    for (String file : files) {
      texts.addAll(HubFiles.texts(file, console));
    }
    if (files.isEmpty()) {
      texts.add(Home.calibration());
      console.note(
          "calibrating with the bundled mixture; --calibration FILE with text like your own use gives"
              + " a better model");
    }
    return new Calibration(
        texts.build(),
        chosenSamples == null ? OptionalInt.empty() : OptionalInt.of(chosenSamples),
        length(),
        sampling,
        seed,
        acrossDocuments,
        rules());
  }
}
