package dev.gptq.cli.report;

import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.Model.CommandSpec;

/** A command as it was given, for a shell. */
public final class CommandText {
  private CommandText() {}

  /** The name of the program and its arguments, quoted where a shell would take them apart. */
  public static String of(CommandSpec spec) {
    CommandSpec root = spec.root();
    return Stream.concat(
            Stream.of(root.name()),
            root.commandLine().getParseResult().originalArgs().stream().map(CommandText::quoted))
        .collect(Collectors.joining(" "));
  }

  static String quoted(String argument) {
    return argument.matches("[\\w@%+=:,./-]+")
        ? argument
        : "'" + argument.replace("'", "'\\''") + "'";
  }
}
