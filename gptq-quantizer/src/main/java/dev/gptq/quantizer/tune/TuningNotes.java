package dev.gptq.quantizer.tune;

import java.util.Locale;
import java.util.function.Consumer;

/**
 * Says what a tuning does beside its steps, for people.
 *
 * @param notes hears sentences
 * @param looks hears of looks at the held-out text
 */
public record TuningNotes(Consumer<String> notes, Consumer<TuningOutcome.Look> looks)
    implements Tuner.Listener {
  @Override
  public void look(TuningOutcome.Look look) {
    looks.accept(look);
  }

  @Override
  public void tried(double rate, int steps, double heldOut) {
    notes.accept(
        String.format(
            Locale.ROOT,
            "tried to tune at rate %s: KL on held-out text %.4g after %d steps",
            rate,
            heldOut,
            steps));
  }

  @Override
  public void wrote(int windows, double seconds) {
    notes.accept(
        String.format(
            Locale.ROOT,
            "the model wrote %d windows to be tuned with in %.1f s",
            windows,
            seconds));
  }

  @Override
  public void tunedBlocks(int steps, double left, double seconds) {
    notes.accept(
        String.format(
            Locale.ROOT,
            "tuned each block by itself in %d steps and %.1f s: squared errors of what they leave behind"
                + " went to %.1f %% of what they were",
            steps,
            seconds,
            100 * left));
  }

  @Override
  public void goesOn(int steps) {
    notes.accept("going on after %d steps of tuning".formatted(steps));
  }
}
