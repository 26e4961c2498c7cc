package dev.gptq.cli.options;

import dev.gptq.cli.console.Console;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;

/** The options about what is printed. */
public final class OutputOption {
  @Option(
      names = "--json",
      description = "print exactly one JSON object on standard output, the rest on standard error")
  private boolean json;

  @Option(
      names = "--progress",
      paramLabel = "MODE",
      description =
          "auto (in a terminal one line that is written over, else a line now and then), plain"
              + " (always one line) or none (default: auto)")
  private Console.ProgressMode progress = Console.ProgressMode.AUTO;

  public boolean json() {
    return json;
  }

  public Console console(CommandSpec spec) {
    return new Console(spec, progress);
  }
}
