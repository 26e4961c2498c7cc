package dev.gptq.cli.console;

import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.study.MeasuringListener;
import dev.gptq.quantizer.tune.TuningOutcome;
import java.util.Locale;
import java.util.function.IntConsumer;

/** Shows how models are quantized in several ways and measured. */
public final class MeasuringProgress implements MeasuringListener {
  private final Console console;
  private final TuningProgress tuning;

  /** Progress on a console. */
  public MeasuringProgress(Console console) {
    this.console = console;
    this.tuning = new TuningProgress(console);
  }

  @Override
  public JobListener quantizing(String title) {
    return ProgressLines.blocks(console, title, 0);
  }

  @Override
  public IntConsumer evaluating(int windows) {
    return ProgressLines.windows(console, windows);
  }

  @Override
  public void observing(String title, int index, int count, String module) {
    console.progress(title + ": observing " + (index + 1) + "/" + count + " " + module);
  }

  @Override
  public void tuning(int steps, TuningOutcome.Look look) {
    tuning.look(steps, look);
  }

  @Override
  public void note(String line) {
    console.milestone(line);
  }

  @Override
  public void measured(String title, double perplexity) {
    console.milestone(title + String.format(Locale.ROOT, ": perplexity %.3f", perplexity));
  }
}
