package dev.gptq.cli.options;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.cli.console.UsageException;
import dev.gptq.quantizer.tune.Tuning;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

final class TuneOptionsTest {
  private static Optional<Tuning> tuning(boolean preset, String... options) {
    TuneOptions given = new TuneOptions();
    CommandLine.Model.CommandSpec spec = CommandLine.Model.CommandSpec.create();
    spec.addMixin("tune", CommandLine.Model.CommandSpec.forAnnotatedObject(given));
    new CommandLine(spec).parseArgs(options);
    return given.tuning(preset);
  }

  @Test
  void nothingIsTunedUnlessItIsAskedFor() {
    assertThat(tuning(false)).isEmpty();
    assertThat(tuning(true)).as("what a preset does is its own").isEmpty();
    assertThat(tuning(false, "--tune", "7")).contains(Tuning.of(7));
  }

  @Test
  void chatsAreOfTuning() {
    assertThat(tuning(false, "--tune", "7", "--tune-chats")).contains(Tuning.of(7).withChats());
    assertThat(tuning(true, "--tune-chats")).contains(Tuning.of(Tuning.USUAL_STEPS).withChats());
    assertThatThrownBy(() -> tuning(true, "--tune-chats", "--tune-written", "0"))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("leave out one of them");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--tune-rate=0.1",
        "--tune-momentum=0.5",
        "--tune-written=3",
        "--tune-chats",
        "--tune-blocks=3"
      })
  void whatIsForTuningIsRefusedWithoutIt(String option) {
    assertThatThrownBy(() -> tuning(false, option))
        .isInstanceOf(UsageException.class)
        .hasMessageStartingWith(option.split("=", 2)[0] + " is for --tune");
  }
}
