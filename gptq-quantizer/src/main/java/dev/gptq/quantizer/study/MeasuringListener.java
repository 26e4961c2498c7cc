package dev.gptq.quantizer.study;

import dev.gptq.quantizer.pipeline.JobListener;
import dev.gptq.quantizer.tune.TuningOutcome;
import java.util.function.IntConsumer;

/** Hears how models are quantized in several ways and measured. */
public interface MeasuringListener {
  /** A quantization begins; what is returned hears its blocks and modules. */
  JobListener quantizing(String title);

  /** A measurement over that many windows begins; what is returned hears how many are done. */
  IntConsumer evaluating(int windows);

  /** A module is about to be quantized again; {@code index} of {@code count}, from 0 on. */
  void observing(String title, int index, int count, String module);

  /** A tuning in at most so many steps has looked at the held-out text. */
  default void tuning(int steps, TuningOutcome.Look look) {}

  /** What a tuning does beside its steps, for people. */
  default void note(String line) {}

  /** A result. */
  void measured(String title, double perplexity);

  /** Hears nothing. */
  MeasuringListener NONE =
      new MeasuringListener() {
        @Override
        public JobListener quantizing(String title) {
          return JobListener.SILENT;
        }

        @Override
        public IntConsumer evaluating(int windows) {
          return done -> {};
        }

        @Override
        public void observing(String title, int index, int count, String module) {}

        @Override
        public void measured(String title, double perplexity) {}
      };
}
