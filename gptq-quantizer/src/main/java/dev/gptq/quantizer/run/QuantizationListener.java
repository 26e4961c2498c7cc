package dev.gptq.quantizer.run;

import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.tune.TuningOutcome;
import java.nio.file.Path;

/** Hears how a quantization from checkpoint to checkpoint goes on. All calls come in order. */
public interface QuantizationListener extends JobListener {
  /** A sentence for people about what was found or decided. */
  default void note(String sentence) {}

  /** What the run will write to the disk, and what is free there; said before it begins. */
  default void disk(String sentence) {}

  /** Work on blocks begins; from here on an interrupted run can be resumed. */
  default void working(Path workFolder, int finishedBlocks) {}

  /** A module is about to be quantized again; {@code index} of {@code count}, from 0 on. */
  default void observing(int index, int count, String module) {}

  /** Tuning, of at most {@code steps}, has looked at the held-out text. */
  default void tuning(int steps, TuningOutcome.Look look) {}

  /** The checkpoint is about to be written and verified. */
  default void writing(Path output) {}

  /** The checkpoint is complete, and the work folder is gone. */
  default void done() {}

  /** Hears nothing. */
  QuantizationListener NONE =
      new QuantizationListener() {
        @Override
        public void block(int index, int count) {}

        @Override
        public void module(ModuleReport report) {}
      };
}
