package dev.gptq.cli.options;

import dev.gptq.cli.console.UsageException;
import dev.gptq.quantizer.run.Quantization;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** The options that read and write importance matrices of llama.cpp. */
public final class ImatrixOptions {
  /** What needs a calibration text. */
  private static final List<String> TEXT =
      List.of("--calibration", "--samples", "--seq-len", "--target", "--curvature", "--method");

  @Option(
      names = "--imatrix",
      paramLabel = "FILE",
      description =
          "take what errors cost from an importance matrix of llama.cpp (GGUF or .dat) in place of a"
              + " calibration text: scales are fitted for it and codes are the nearest, as there")
  private Path read;

  @Option(
      names = "--write-imatrix",
      paramLabel = "FILE",
      description =
          "also write an importance matrix for llama.cpp, in GGUF: the mean squares of the inputs that"
              + " were calibrated with")
  private Path written;

  /** Whether there is one in place of a calibration text. */
  public boolean given() {
    return read != null;
  }

  /** Hands them on; throws if other options contradict them. */
  public void apply(Quantization quantization, CommandSpec spec) {
    for (String option : TEXT) {
      if (read != null && spec.commandLine().getParseResult().hasMatchedOption(option)) {
        throw new UsageException(
            "--imatrix takes the place of a calibration text; leave out " + option);
      }
    }
    if (read != null) {
      quantization.importance(read);
    }
    if (written != null) {
      quantization.writeImportance(written);
    }
  }
}
