package dev.gptq.cli.console;

import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.run.QuantizationListener;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Shows how a quantization goes on, and says what is kept if the process is told to end meanwhile.
 * Closing it takes that hint back: who sees an error needs none.
 */
public final class QuantizationProgress implements QuantizationListener, AutoCloseable {
  private final Console console;
  private JobListener blocks = JobListener.SILENT;
  private Thread hint;

  /** Progress on a console. */
  public QuantizationProgress(Console console) {
    this.console = console;
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
    hint = new Thread(() -> interrupted(workFolder));
    Runtime.getRuntime().addShutdownHook(hint);
  }

  private void interrupted(Path workFolder) {
    boolean kept = Files.isDirectory(workFolder);
    console.note(
        kept
            ? "interrupted; finished blocks are kept in "
                + workFolder
                + " and the same command goes on from there"
            : "interrupted before a block was finished; nothing is kept");
    console.event("interrupted", json -> json.put("kept", kept));
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
    if (hint != null) {
      Runtime.getRuntime().removeShutdownHook(hint);
      hint = null;
    }
  }
}
