package dev.gptq.cli.options;

import dev.gptq.quantizer.gguf.Ends;
import picocli.CommandLine.Option;

/** The option that says how a GGUF file holds embedding and output layer. */
public final class EndsOption {
  @Option(
      names = "--embedding-type",
      paramLabel = "TYPE",
      description =
          "with --format gguf, embedding and output layer: keep (as they are) or q8_0 (rounded to 8"
              + " bits) (default: keep)")
  private Ends type = Ends.KEEP;

  /** The type. */
  public Ends type() {
    return type;
  }
}
