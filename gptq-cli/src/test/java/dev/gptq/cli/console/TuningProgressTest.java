package dev.gptq.cli.console;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.quantizer.tune.TuningOutcome;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

/** What is told of a tuning where lines cannot be written over. */
final class TuningProgressTest {
  private final StringWriter said = new StringWriter();
  private long seconds = -100;

  private TuningProgress progress() {
    CommandLine command = new CommandLine(CommandSpec.create());
    command.setErr(new PrintWriter(said, true));
    Console console = new Console(command.getCommandSpec(), Console.ProgressMode.AUTO);
    return new TuningProgress(console, () -> seconds * 1_000_000_000L);
  }

  private void look(TuningProgress progress, int step, double training, double heldOut, long at) {
    seconds = at;
    progress.look(100, new TuningOutcome.Look(step, training, heldOut));
  }

  @Test
  void isALineAtTheBeginningAndThenEveryQuarterOfAMinute() {
    TuningProgress progress = progress();
    look(progress, 0, Double.NaN, 0.5, -100);
    look(progress, 5, 0.25, 0.45, -90);
    look(progress, 10, 0.25, 0.375, -80);
    look(progress, 15, 0.2, 0.35, -70);
    assertThat(said.toString().lines())
        .containsExactly(
            "tuning: KL 0.5000 on held-out text, step 0 of at most 100",
            "tuning: KL 0.2500 in training, 0.3750 on held-out text, step 10 of at most 100, 3 min 0 s left");
  }

  @Test
  void whatWentOnIsTimedFromThere() {
    TuningProgress progress = progress();
    look(progress, 80, 0.25, 0.375, 0);
    look(progress, 90, 0.25, 0.375, 30);
    assertThat(said.toString().lines().skip(1))
        .singleElement()
        .asString()
        .endsWith("100, 30.0 s left");
  }

  @Test
  void anotherTuningBeginsAnew() {
    TuningProgress progress = progress();
    look(progress, 0, Double.NaN, 0.5, 0);
    look(progress, 100, 0.25, 0.375, 1);
    look(progress, 0, Double.NaN, 0.75, 2);
    assertThat(said.toString().lines())
        .containsExactly(
            "tuning: KL 0.5000 on held-out text, step 0 of at most 100",
            "tuning: KL 0.7500 on held-out text, step 0 of at most 100");
  }
}
