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
    blocks = ProgressLines.blocks(console, "quantizing", finishedBlocks);
    hint =
        new Thread(() ->
            console.note(
                Files.isDirectory(workFolder)
                    ? "interrupted; finished blocks are kept in "
                        + workFolder
                        + " and the same command goes on from there"
                    : "interrupted before a block was finished; nothing is kept"));
    Runtime.getRuntime().addShutdownHook(hint);
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
    console.progress("observing: " + (index + 1) + "/" + count + " " + module);
  }

  @Override
  public void writing(Path output) {
    console.milestone("writing and verifying " + output);
  }

  @Override
  public void done() {
    close();
  }

  @Override
  public void close() {
    if (hint != null) {
      Runtime.getRuntime().removeShutdownHook(hint);
      hint = null;
    }
  }
}
