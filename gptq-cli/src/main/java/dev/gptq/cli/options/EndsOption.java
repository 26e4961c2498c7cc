package dev.gptq.cli.options;

import dev.gptq.quantizer.gguf.Ends;
import java.util.Optional;
import picocli.CommandLine.Option;

/** The option that says how a GGUF file holds embedding and output layer. */
public final class EndsOption {
  @Option(
      names = "--embedding-type",
      paramLabel = "TYPE",
      description =
          "with --format gguf, embedding and output layer: keep (as they are), or rounded to nearest:"
              + " q8_0, q6_k, q5_k, q4_k, q3_k, q2_k (default: keep; q6_k with --type)")
  private Ends type;

  /** The type, if it was given. */
  public Optional<Ends> type() {
    return Optional.ofNullable(type);
  }
}
