package dev.gptq.quantizer.pipeline;

import dev.gptq.models.family.Step;
import dev.gptq.quantize.Hessian;

/** Hears how a quantization goes on. */
public interface JobListener {
  /** A block begins; blocks count from 0. */
  void block(int index, int count);

  /**
   * A group of modules has been calibrated and is about to be quantized.
   *
   * @param block index of the block
   * @param group the modules of the block that share the input
   * @param hessian of that input; valid until this method returns
   */
  default void calibrated(int block, Step.Linears group, Hessian hessian) {}

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
