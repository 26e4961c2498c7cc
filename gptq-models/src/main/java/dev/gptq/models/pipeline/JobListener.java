package dev.gptq.models.pipeline;

/** Hears how a quantization goes on. */
public interface JobListener {
  /** A block begins; blocks count from 0. */
  void block(int index, int count);

  /** A module is done. */
  void module(ModuleReport report);

  /** Hears nothing. */
  JobListener SILENT =
      new JobListener() {
        @Override
        public void block(int index, int count) {}

        @Override
        public void module(ModuleReport report) {}
      };
}
