package dev.gptq.cli.options;

import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.hub.HubFiles;
import dev.gptq.models.text.Bos;
import dev.gptq.models.text.EvaluationText;
import dev.gptq.models.text.Protocol;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options that say on which text a model is measured. */
public final class TextOptions {
  @Option(
      names = "--text",
      paramLabel = "FILE",
      description =
          "text to measure on: plain text, or rows of .jsonl, .csv, .tsv or .parquet (see --text-column),"
              + " also compressed (.gz, .zst), or a file of a data set on the hub: hf:owner/name[@revision]/FILE")
  private String file;

  @Option(
      names = "--seq-len",
      paramLabel = "N",
      description = "tokens of a window (default: 2048, or the model's context if that is less)")
  private Integer length;

  @Mixin private WindowsOption windows;
  @Mixin private RulesOptions rules;

  @Option(
      names = "--protocol",
      paramLabel = "NAME",
      description =
          "make windows as published figures do: wikitext2, ptb, ptb-new, c4-new (default: the whole"
              + " text as one stream)")
  private String protocol;

  /** Whether a text was named. */
  public boolean given() {
    return file != null;
  }

  /** How texts begin, where rules are all that counts. */
  public Bos bos() {
    return rules.rules().bos();
  }

  /** What was asked for. */
  public EvaluationText text(Console console) throws IOException {
    return new EvaluationText(
        HubFiles.text(file, console),
        checked(length == null ? OptionalInt.empty() : OptionalInt.of(length)),
        windows.limit(),
        Optional.ofNullable(protocol).map(Protocol::of),
        rules.rules());
  }

  /** What a model card calls the text: its name on the hub, or that of the file. */
  public String title() {
    return title(file);
  }

  /** The same of any text. */
  public static String title(String text) {
    return text.startsWith("hf:") ? text : Path.of(text).getFileName().toString();
  }

  /** A text in windows like those of the calibration. */
  public static EvaluationText text(
      Path file, CalibrationOptions calibration, WindowsOption windows) {
    return new EvaluationText(
        file,
        checked(calibration.length()),
        windows.limit(),
        Optional.empty(),
        calibration.rules());
  }

  private static OptionalInt checked(OptionalInt length) {
    if (length.isPresent() && length.getAsInt() < 2) {
      throw new UsageException("--seq-len must be at least 2 but is " + length.getAsInt());
    }
    return length;
  }
}
