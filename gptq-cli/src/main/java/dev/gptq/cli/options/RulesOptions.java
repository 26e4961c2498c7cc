package dev.gptq.cli.options;

import dev.gptq.models.text.TextRules;
import java.util.Optional;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options that say how files become tokens. */
public final class RulesOptions {
  @Mixin private BosOption bos;

  @Option(
      names = "--text-column",
      paramLabel = "NAME",
      description =
          "where the rows of .jsonl, .csv, .tsv and .parquet have their text: a string, or the turns"
              + " of a conversation (default: text, else messages)")
  private String column;

  /** What was asked for. */
  public TextRules rules() {
    return new TextRules(bos.bos(), Optional.ofNullable(column));
  }
}
