package dev.gptq.cli;

import dev.gptq.cli.console.Version;
import dev.gptq.formats.safetensors.MappedFiles;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command line. */
@Command(
    name = "gptq",
    description = {
      "Quantizes large language models to 2 to 8 bits with GPTQ.",
      "",
      "Try 'gptq demo' first: it quantizes a small bundled model and shows what that does to it."
    },
    versionProvider = Version.class,
    mixinStandardHelpOptions = true,
    commandListHeading = "%nCommands:%n",
    footer = {
      "",
      "Exit status: 0 done; 2 wrong usage; 65 bad input; 69 the requested backend is unavailable;"
          + " 74 I/O error or no memory; 78 no suitable JDK; 130 or 143 interrupted (what is"
          + " kept is said)."
    },
    subcommands = {
      DemoCommand.class,
      QuantizeCommand.class,
      EvalCommand.class,
      CompareCommand.class,
      GenerateCommand.class,
      LogitsCommand.class,
      PlotCommand.class,
      StudyCommand.class,
      InspectCommand.class,
      ConvertCommand.class,
      DownloadCommand.class,
      UploadCommand.class,
      BackendsCommand.class,
      DoctorCommand.class,
      GenerateCompletion.class,
      HelpCommand.class
    })
public final class Main implements Runnable {
  @Spec private CommandSpec spec;

  private Main() {}

  /** Runs a command and ends the process with its exit status. */
  public static void main(String[] arguments) {
    System.exit(run(commandLine(arguments), arguments));
  }

  /**
   * The exit status of a command. An error other than a full heap or a mapped file that can no
   * longer be read is thrown on.
   */
  static int run(CommandLine command, String... arguments) {
    try {
      return command.execute(arguments);
    } catch (OutOfMemoryError e) {
      return Failures.heapIsFull(e, command);
    } catch (InternalError e) {
      return Failures.fileIsGone(MappedFiles.fault(e).orElseThrow(() -> e), command);
    }
  }

  /**
   * The parsed-and-run machinery for some arguments, whose writers tests may replace. Reading the
   * annotations of all commands takes most of a short command's time, so that a command that is
   * named first is alone in it.
   */
  static CommandLine commandLine(String... arguments) {
    return root(arguments)
        .setExecutionExceptionHandler(new Failures())
        .setParameterExceptionHandler(new WrongUsage())
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setUsageHelpWidth(100)
        .setUsageHelpLongOptionsMaxWidth(34);
  }

  private static CommandLine root(String... arguments) {
    if (arguments.length > 0) {
      if (arguments[0].equals("--version")) {
        return new CommandLine(new Alone());
      }
      for (Class<?> command : Main.class.getAnnotation(Command.class).subcommands()) {
        String name = command.getAnnotation(Command.class).name();
        // Those of picocli are about all others.
        if (name.equals(arguments[0]) && command.getPackage() == Main.class.getPackage()) {
          return new CommandLine(new Alone()).addSubcommand(command);
        }
      }
    }
    return new CommandLine(new Main());
  }

  /** What one command is under. */
  @Command(name = "gptq", versionProvider = Version.class, mixinStandardHelpOptions = true)
  private static final class Alone {}

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "Say which command to run.");
  }
}
