package dev.gptq.cli.console;

import dev.gptq.quantizer.tune.TuningOutcome;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Progress of a tuning: a line a look at the held-out text; where lines cannot be written over, the
 * first and then one every {@value #SECONDS} seconds.
 */
final class TuningProgress {
  private static final int SECONDS = 15;

  private final Console console;
  private final LongSupplier clock;

  /** The step of the first look that was heard of, where the tuning began or went on; none yet. */
  private int firstStep = -1;

  private long firstTime;
  private long lastLine;

  TuningProgress(Console console) {
    this(console, System::nanoTime);
  }

  /** With a clock of nanoseconds. */
  TuningProgress(Console console, LongSupplier clock) {
    this.console = console;
    this.clock = clock;
  }

  /**
   * A look.
   *
   * @param steps of the tuning, at most
   */
  void look(int steps, TuningOutcome.Look look) {
    long now = clock.getAsLong();
    boolean first = firstStep < 0 || look.step() <= firstStep;
    if (first) {
      firstStep = look.step();
      firstTime = now;
    }
    String left =
        first || look.step() >= steps
            ? ""
            : ProgressLines.left(now - firstTime, look.step() - firstStep, steps - firstStep);
    String line = line(look) + " of at most " + steps + left;
    if (first || now - lastLine >= SECONDS * 1_000_000_000L) {
      lastLine = now;
      console.milestone(line);
    } else {
      console.record(line);
      console.progress(line);
    }
  }

  private static String line(TuningOutcome.Look look) {
    String training =
        Double.isFinite(look.training())
            ? String.format(Locale.ROOT, "%.4g in training, ", look.training())
            : "";
    return String.format(
        Locale.ROOT,
        "tuning: KL %s%.4g on held-out text, step %d",
        training,
        look.heldOut(),
        look.step());
  }
}
