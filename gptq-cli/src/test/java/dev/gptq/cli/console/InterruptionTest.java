package dev.gptq.cli.console;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

/** What a process says that is told to end. */
final class InterruptionTest {
  private final StringWriter said = new StringWriter();

  private Console console() {
    CommandLine command = new CommandLine(CommandSpec.create());
    command.setErr(new PrintWriter(said, true));
    return new Console(command.getCommandSpec(), Console.ProgressMode.JSON);
  }

  @Test
  void whatIsKeptIsAskedWhenItHappens() {
    AtomicBoolean kept = new AtomicBoolean();
    try (Interruption hint = new Interruption(console(), kept::get, "; kept", "; lost")) {
      hint.say();
      assertThat(said.toString()).contains("interrupted; lost", "\"kept\":false");
      kept.set(true);
      hint.say();
      assertThat(said.toString()).contains("interrupted; kept", "\"kept\":true");
    }
  }

  @Test
  void whoSeesAResultNeedsNoHint() {
    Interruption hint = Interruption.losing(console(), "; nothing is kept");
    hint.close();
    hint.say();
    assertThat(said.toString()).isEmpty();
  }
}
