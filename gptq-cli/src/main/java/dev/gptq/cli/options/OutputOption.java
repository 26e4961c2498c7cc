package dev.gptq.cli.options;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.RunLog;
import dev.gptq.formats.OutputPlace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;

/** The options about what is printed. */
public final class OutputOption {
  /** What every folder of a model has. */
  private static final String SETTINGS = "config.json";

  @Option(
      names = "--json",
      description = "print exactly one JSON object on standard output, the rest on standard error")
  private boolean json;

  @Option(
      names = "--progress",
      paramLabel = "MODE",
      description =
          "auto (in a terminal one line that is written over, else a line now and then), plain"
              + " (always one line), json (standard error is a JSON object a line) or none (default:"
              + " auto)")
  private Console.ProgressMode progress = Console.ProgressMode.AUTO;

  @Option(
      names = "--log",
      paramLabel = "FILE",
      description =
          "add what the command says, each line behind the time, to this file, whatever --progress"
              + " shows")
  private Path log;

  private Console console;

  public boolean json() {
    return json;
  }

  /** The console of a command, always the same. */
  public Console console(CommandSpec spec) throws IOException {
    if (console == null) {
      if (log != null) {
        requireApart(spec);
      }
      Optional<RunLog> file = log == null ? Optional.empty() : Optional.of(RunLog.open(log));
      console = new Console(spec, progress, file);
      console.record(
          "gptq " + String.join(" ", spec.commandLine().getParseResult().originalArgs()));
    }
    return console;
  }

  /** Throws if the log is a file that the command names, or would lie in a model. */
  private void requireApart(CommandSpec spec) throws IOException {
    ParseResult given = spec.commandLine().getParseResult();
    for (ArgSpec argument : given.matchedArgs()) {
      if (argument.isOption() && ((OptionSpec) argument).longestName().equals("--log")) {
        continue;
      }
      for (String value : argument.stringValues()) {
        Optional<Path> read = existing(value);
        if (read.isPresent()
            && (!Files.isDirectory(read.get()) || Files.exists(read.get().resolve(SETTINGS)))) {
          OutputPlace.requireApart(log, ImmutableList.of(read.get()));
        }
      }
    }
  }

  private static Optional<Path> existing(String value) {
    try {
      return Optional.of(Path.of(value)).filter(Files::exists);
    } catch (InvalidPathException _) {
      return Optional.empty();
    }
  }

  /** The console that a command has asked for, if it came that far. */
  public static Optional<Console> opened(CommandSpec spec) {
    return spec.mixins().values().stream()
        .map(CommandSpec::userObject)
        .filter(OutputOption.class::isInstance)
        .map(mixin -> ((OutputOption) mixin).console)
        .filter(Objects::nonNull)
        .findFirst();
  }
}
