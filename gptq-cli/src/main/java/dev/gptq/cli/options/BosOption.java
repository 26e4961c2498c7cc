package dev.gptq.cli.options;

import dev.gptq.models.text.Bos;
import picocli.CommandLine.Option;

/** The option that says whether texts begin with a BOS token. */
public final class BosOption {
  @Option(
      names = "--bos",
      paramLabel = "HOW",
      description =
          "whether texts and windows begin with the token that says so (BOS): on, off, or auto as"
              + " tokenizer.json does (default: auto)")
  private Bos bos = Bos.AUTO;

  /** What was asked for. */
  public Bos bos() {
    return bos;
  }
}
