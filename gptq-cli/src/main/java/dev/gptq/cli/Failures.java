package dev.gptq.cli;

import com.google.common.base.Throwables;
import dev.gptq.backend.BackendSettingException;
import dev.gptq.backend.BackendUnavailableException;
import dev.gptq.cli.console.ExitStatus;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.options.OutputOption;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.FileFailure;
import dev.gptq.formats.OutputPlaceException;
import dev.gptq.formats.safetensors.MappedFiles;
import dev.gptq.formats.safetensors.UnreadableFileException;
import dev.gptq.hub.HubException;
import dev.gptq.quantize.CalibrationException;
import dev.gptq.quantizer.run.RequestException;
import dev.gptq.tensor.OutOfMemoryException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParseResult;

/** Turns what a command throws into one line for people and an exit status for scripts. */
final class Failures implements IExecutionExceptionHandler {

  @Override
  public int handleExecutionException(
      Exception failure, CommandLine command, ParseResult arguments) {
    int status = status(failure);
    if (status == ExitStatus.SOFTWARE
        && Throwables.getRootCause(failure) instanceof OutOfMemoryError full) {
      return heapIsFull(full, command);
    }
    Optional<UnreadableFileException> gone = MappedFiles.fault(failure);
    if (status == ExitStatus.SOFTWARE && gone.isPresent()) {
      return fileIsGone(gone.get(), command);
    }
    if (status == ExitStatus.SOFTWARE) {
      failure.printStackTrace(command.getErr());
      command.getErr().println("gptq: this is a defect; please report it with the lines above");
    } else {
      command.getErr().println("gptq: " + message(failure));
    }
    OutputOption.opened(command.getCommandSpec())
        .ifPresent(console -> console.failed(message(failure), status));
    return status;
  }

  /** What to say and return where Java itself has no memory; tensors are not in its heap. */
  static int heapIsFull(OutOfMemoryError error, CommandLine command) {
    command
        .getErr()
        .printf(
            Locale.ROOT,
            "gptq: no memory (%s); the Java heap may take %d MiB. Give it more, as with"
                + " GPTQ_JAVA_OPTS=-Xmx8g%n",
            error.getMessage(),
            Runtime.getRuntime().maxMemory() >> 20);
    return ExitStatus.IO_ERROR;
  }

  /** What to say and return where a file that is mapped into memory can no longer be read. */
  static int fileIsGone(UnreadableFileException fault, CommandLine command) {
    command.getErr().println("gptq: " + fault.getMessage());
    return ExitStatus.IO_ERROR;
  }

  private static int status(Exception failure) {
    return switch (failure) {
      case UsageException e -> ExitStatus.USAGE;
      case RequestException e -> ExitStatus.USAGE;
      case BackendSettingException e -> ExitStatus.USAGE;
      case OutputPlaceException e -> ExitStatus.USAGE;
      case BadInputException e -> ExitStatus.BAD_INPUT;
      case CalibrationException e -> ExitStatus.BAD_INPUT;
      case OutOfMemoryException e -> ExitStatus.IO_ERROR;
      case BackendUnavailableException e -> ExitStatus.UNAVAILABLE;
      case HubException e -> status(e.reason());
      case UncheckedIOException e -> ExitStatus.IO_ERROR;
      case IOException e -> ExitStatus.IO_ERROR;
      default -> ExitStatus.SOFTWARE;
    };
  }

  private static int status(HubException.Reason reason) {
    return switch (reason) {
      case INVALID, NOT_FOUND, UNAUTHORIZED, GATED -> ExitStatus.BAD_INPUT;
      case OFFLINE, UNREACHABLE, DAMAGED, NO_SPACE -> ExitStatus.IO_ERROR;
    };
  }

  private static String message(Exception failure) {
    Throwable cause = failure instanceof UncheckedIOException e ? e.getCause() : failure;
    return cause instanceof IOException e
        ? FileFailure.reason(e)
        : String.valueOf(cause.getMessage());
  }
}
