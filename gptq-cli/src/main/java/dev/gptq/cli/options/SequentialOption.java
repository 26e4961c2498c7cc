package dev.gptq.cli.options;

import picocli.CommandLine.Option;

/** The option that says what modules of a block are calibrated with. */
public final class SequentialOption {
  @Option(
      names = "--true-sequential",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description =
          "calibrate a module with the earlier ones of its block already quantized (default: on)")
  private boolean trueSequential;

  /** Whether earlier modules of the block are quantized already. */
  public boolean trueSequential() {
    return trueSequential;
  }
}
