package dev.gptq.cli.options;

import com.google.common.primitives.Ints;
import dev.gptq.cli.console.UsageException;
import picocli.CommandLine.Option;

/** The options that say how many bits a weight takes. */
public final class WidthOptions {
  private static final int DEFAULT = 128;

  @Option(
      names = "--bits",
      paramLabel = "N",
      description =
          "bits of a weight, 2 to 8; 5, 6 and 7 are read by few (default: ${DEFAULT-VALUE})")
  private int bits = 4;

  @Option(
      names = "--group-size",
      paramLabel = "N",
      description =
          "weights that share a scale; -1 for whole rows, auto for the largest of 128, 64 and 32"
              + " that divides the model's widths (default: ${DEFAULT-VALUE})")
  private String groupSize = "128";

  /** Bits of a weight. */
  public int bits() {
    return bits;
  }

  /** Weights that share a scale; the default where the model is to decide. */
  public int groupSize() {
    if (isFitting()) {
      return DEFAULT;
    }
    Integer size = Ints.tryParse(groupSize);
    if (size == null) {
      throw new UsageException("--group-size must be a number or auto but is '" + groupSize + "'");
    }
    return size;
  }

  /** Whether the model's widths decide how many weights share a scale. */
  public boolean isFitting() {
    return groupSize.equals("auto");
  }
}
