package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.tensor.OutOfMemoryException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Command;

final class FailuresTest {
  private final StringWriter err = new StringWriter();

  @Command
  private record Throwing(Exception failure, Error error) implements Callable<Integer> {
    @Override
    public Integer call() throws Exception {
      if (error != null) {
        throw error;
      }
      throw failure;
    }
  }

  private int status(Exception failure, Error error) {
    CommandLine command =
        new CommandLine(new Throwing(failure, error))
            .setExecutionExceptionHandler(new Failures())
            .setErr(new PrintWriter(err, true));
    return Main.run(command);
  }

  @Test
  void fullHeapIsOneLineWithARemedy() {
    assertThat(status(null, new OutOfMemoryError("Java heap space"))).isEqualTo(74);
    assertThat(err.toString())
        .startsWith("gptq: no memory (Java heap space); the Java heap may take ")
        .contains("GPTQ_JAVA_OPTS=-Xmx")
        .hasLineCount(1);
  }

  @Test
  void fullHeapOfAnotherThreadIsFound() {
    Exception wrapped = new ExecutionException(new OutOfMemoryError("Java heap space"));
    assertThat(status(new IllegalStateException(wrapped), null)).isEqualTo(74);
    assertThat(err.toString()).startsWith("gptq: no memory (Java heap space)").hasLineCount(1);
  }

  @Test
  void tensorsWithoutRoomKeepTheirOwnMessage() {
    Exception failure = new OutOfMemoryException("no room for 7 MiB of tensors", null);
    assertThat(status(failure, null)).isEqualTo(74);
    assertThat(err.toString()).isEqualToIgnoringNewLines("gptq: no room for 7 MiB of tensors");
  }

  @Test
  void systemWithoutRoomKeepsTheTensorsMessage() {
    Exception failure =
        new OutOfMemoryException("no room for 7 MiB of tensors", new OutOfMemoryError("malloc"));
    assertThat(status(failure, null)).isEqualTo(74);
    assertThat(err.toString()).isEqualToIgnoringNewLines("gptq: no room for 7 MiB of tensors");
  }

  @Test
  void aMappedFileThatIsCutIsNoDefect() {
    String fault = "a fault occurred in an unsafe memory access operation";
    assertThat(status(null, new InternalError(fault))).isEqualTo(74);
    assertThat(status(new IllegalStateException(new InternalError(fault)), null)).isEqualTo(74);
    assertThat(err.toString())
        .startsWith("gptq: a mapped file cannot be read or written; another program changed it")
        .hasLineCount(2);
  }

  @Test
  void otherErrorsAreNotHidden() {
    assertThatThrownBy(() -> status(null, new AssertionError("a defect")))
        .isInstanceOf(AssertionError.class);
    assertThatThrownBy(() -> status(null, new InternalError("a defect")))
        .isInstanceOf(InternalError.class);
  }
}
