package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.evaluation.Perplexity;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which device does what, so that the result has the same bits however many there are: batches go
 * to a fixed number of lanes, each of which sums its batches one after the other, and the sums of
 * lanes are added in their order.
 *
 * @param devices number of devices
 */
record Dealing(int devices) {
  /** More devices than that have experts to solve, but no batches. */
  static final int LANES = 8;

  /** The lane of a batch. */
  static int laneOf(int batch) {
    return batch % LANES;
  }

  /** Lanes that have batches. */
  static int lanes(int batches) {
    return Math.min(LANES, batches);
  }

  /** The device of a batch. */
  int deviceOfBatch(int batch) {
    return laneOf(batch) % devices;
  }

  /** Calibration tokens of the first of several devices, which has as many as any other. */
  static long tokensOfFirst(int devices, ImmutableList<int[]> windows) {
    if (windows.isEmpty()) {
      return 0;
    }
    Dealing dealing = new Dealing(devices);
    List<List<int[]>> batches = Perplexity.batches(windows, QuantizationJob.BATCH_TOKENS);
    return IntStream.range(0, batches.size())
        .filter(batch -> dealing.deviceOfBatch(batch) == 0)
        .mapToLong(batch -> batches.get(batch).stream().mapToLong(w -> w.length).sum())
        .sum();
  }

  /** The device that sums up and solves one of several groups of modules. */
  int home(int group) {
    return group % devices;
  }
}
