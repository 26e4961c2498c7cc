package dev.gptq.cli.console;

import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.run.QuantizationListener;
import dev.gptq.quantizer.tune.TuningOutcome;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Shows how a quantization goes on, and says what is kept if the process is told to end meanwhile.
 * Closing it takes that hint back: who sees an error needs none.
 */
public final class QuantizationProgress implements QuantizationListener, AutoCloseable {
  private final Console console;
  private final TuningProgress tuning;
  private JobListener blocks = JobListener.SILENT;
  private Optional<Interruption> hint = Optional.empty();

  /** Progress on a console. */
  public QuantizationProgress(Console console) {
    this.console = console;
    this.tuning = new TuningProgress(console);
  }

  @Override
  public void note(String sentence) {
    console.note(sentence);
  }

  @Override
  public void disk(String sentence) {
    console.note(sentence);
  }

  @Override
  public void working(Path workFolder, int finishedBlocks) {
    if (finishedBlocks > 0) {
      console.note("going on after " + finishedBlocks + " finished blocks in " + workFolder);
    }
    console.event(
        "working",
        json -> json.put("work_folder", workFolder.toString()).put("finished", finishedBlocks));
    blocks = ProgressLines.blocks(console, "quantizing", finishedBlocks);
    hint =
        Optional.of(
            new Interruption(
                console,
                () -> Files.isDirectory(workFolder),
                "; what is finished is kept in "
                    + workFolder
                    + " and the same command goes on from there",
                " before a block was finished; nothing is kept"));
  }

  @Override
  public void block(int index, int count) {
    blocks.block(index, count);
  }

  @Override
  public void module(ModuleReport report) {
    blocks.module(report);
  }

  @Override
  public void observing(int index, int count, String module) {
    String line = "observing: " + (index + 1) + "/" + count + " " + module;
    console.record(line);
    console.progress(line);
    console.event(
        "observing", json -> json.put("index", index).put("count", count).put("name", module));
  }

  @Override
  public void tuning(int steps, TuningOutcome.Look look) {
    tuning.look(steps, look);
    console.event(
        "tuning",
        json -> {
          json.put("step", look.step()).put("steps", steps).put("held_out_kl", look.heldOut());
          if (Double.isFinite(look.training())) {
            json.put("training_kl", look.training());
          }
        });
  }

  @Override
  public void writing(Path output) {
    console.milestone("writing and verifying " + output);
    console.event("writing", json -> json.put("output", output.toString()));
  }

  @Override
  public void done() {
    close();
    console.event("done", _ -> {});
  }

  @Override
  public void close() {
    hint.ifPresent(Interruption::close);
  }
}
