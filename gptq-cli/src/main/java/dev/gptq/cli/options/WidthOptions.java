package dev.gptq.cli.options;

import picocli.CommandLine.Option;

/** The options that say how many bits a weight takes. */
public final class WidthOptions {
  @Option(
      names = "--bits",
      paramLabel = "N",
      description = "bits of a weight: 2, 3, 4 or 8 (default: ${DEFAULT-VALUE})")
  private int bits = 4;

  @Option(
      names = "--group-size",
      paramLabel = "N",
      description = "weights that share a scale; -1 for whole rows (default: ${DEFAULT-VALUE})")
  private int groupSize = 128;

  /** Bits of a weight. */
  public int bits() {
    return bits;
  }

  /** Weights that share a scale. */
  public int groupSize() {
    return groupSize;
  }
}
