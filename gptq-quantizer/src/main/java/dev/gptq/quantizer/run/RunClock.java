package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.quantizer.observe.Attempt;
import dev.gptq.quantizer.pipeline.MemoryCounts;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.tune.TuningOutcome;
import java.util.Optional;
import java.util.OptionalLong;

/** What a run has taken. */
final class RunClock {
  private final long start = System.nanoTime();
  private OptionalLong writing = OptionalLong.empty();

  /** Begins to count the time that goes into writing checkpoints. */
  void startWriting() {
    writing = OptionalLong.of(System.nanoTime());
  }

  /** What was done, and what it has taken until now. */
  QuantizationSummary summary(
      RunRequest request,
      RunOutput.Size size,
      Backend backend,
      ImmutableList<ModuleReport> reports,
      ImmutableList<Attempt> attempts,
      Optional<TuningOutcome> tuned) {
    long end = System.nanoTime();
    return new QuantizationSummary(
        request,
        reports,
        attempts,
        tuned,
        (end - start) / 1e9,
        (end - writing.orElse(end)) / 1e9,
        size.bytes(),
        size.bitsPerWeight(),
        backend.memory().reserved(),
        HeapPeak.bytes(),
        MemoryCounts.most());
  }
}
