package dev.gptq.cli;

import dev.gptq.cli.console.ExitStatus;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Says in a line what is wrong with the arguments of a command and where to find the right ones;
 * without a command it lists those there are.
 */
final class WrongUsage implements IParameterExceptionHandler {

  @Override
  public int handleParseException(ParameterException fault, String[] arguments) {
    CommandLine command = fault.getCommandLine();
    String name = command.getCommandSpec().qualifiedName();
    PrintWriter err = command.getErr();
    if (command.getParent() == null) {
      err.println("gptq: " + fault.getMessage());
      command.usage(err);
    } else {
      err.println("gptq: %s ('%s --help' lists what there is)".formatted(fault.getMessage(), name));
      UnmatchedArgumentException.printSuggestions(fault, err);
    }
    return ExitStatus.USAGE;
  }
}
