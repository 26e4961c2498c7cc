package dev.gptq.quantizer.run;

import dev.gptq.models.Model;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantizer.gguf.ImportanceMatrix;
import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.io.IOException;
import java.nio.file.Path;

/** Takes the diagonals of all Hessians on the way and writes them. */
final class ImportanceKeeper {
  private final ImportanceMatrix matrix;
  private final Path file;
  private final boolean overwrite;

  ImportanceKeeper(Model model, Path file, boolean overwrite) {
    this.matrix = new ImportanceMatrix(model);
    this.file = file;
    this.overwrite = overwrite;
  }

  /** Hears everything before another listener. */
  JobListener before(JobListener next) {
    return new JobListener() {
      @Override
      public void block(int index, int count) {
        next.block(index, count);
      }

      @Override
      public void calibrated(int block, Step.Linears group, Hessian hessian) {
        matrix.add(block, group, hessian);
        next.calibrated(block, group, hessian);
      }

      @Override
      public void module(ModuleReport report) {
        next.module(report);
      }
    };
  }

  /** Writes the file, of windows of so many tokens. */
  void write(int window) throws IOException {
    matrix.write(file, window, overwrite);
  }
}
