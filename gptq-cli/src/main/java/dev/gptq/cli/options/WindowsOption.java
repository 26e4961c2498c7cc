package dev.gptq.cli.options;

import dev.gptq.cli.console.UsageException;
import java.util.OptionalInt;
import picocli.CommandLine.Option;

/** The option that says how much of a text is measured. */
public final class WindowsOption {
  @Option(
      names = "--windows",
      paramLabel = "N",
      description = "measure the first N windows only (default: all)")
  private Integer windows;

  /** Windows at most; all if empty. */
  public OptionalInt limit() {
    if (windows == null) {
      return OptionalInt.empty();
    }
    if (windows < 1) {
      throw new UsageException("--windows must be at least 1 but is " + windows);
    }
    return OptionalInt.of(windows);
  }
}
