package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.family.DecoderSpec;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which device does what, so that the result has the same bits however many there are: batches go
 * to a fixed number of lanes, each of which sums its batches one after the other, and the sums of
 * lanes are added in their order.
 *
 * @param devices number of members of a {@link dev.gptq.backend.DeviceGroup}
 */
record Dealing(int devices) {
  /** More devices than that have experts to solve, but no batches. */
  static final int LANES = 8;

  /** The lane of a batch. */
  static int laneOf(int batch) {
    return batch % LANES;
  }

  /**
   * Times that each device of a backend takes part. Experts are many and small: from one thread the
   * host queues their work slower than a GPU does it. Each member holds a sum of all Hessians of a
   * {@linkplain ExpertWave wave}, so that large experts, which are enough work, have one.
   */
  static int lanes(Backend backend, DecoderSpec spec) {
    long largest =
        spec.blocks().stream()
            .flatMap(block ->
                Stretch.of(block.steps()).stream()
                    .filter(Stretch::isExpert)
                    .map(expert -> ExpertWave.hessianBytes(expert, block.steps())))
            .mapToLong(Long::longValue)
            .max()
            .orElse(0);
    int most = Math.max(1, Math.min(backend.lanes(), LANES / backend.devices()));
    return largest == 0 ? 1 : Math.clamp(ExpertWave.HESSIAN_BYTES / largest, 1, most);
  }

  /** Lanes that have batches. */
  static int lanes(int batches) {
    return Math.min(LANES, batches);
  }

  /** The device of a batch. */
  int deviceOfBatch(int batch) {
    return laneOf(batch) % devices;
  }

  /**
   * Calibration tokens of the first device, which has as many as any other.
   *
   * @param members that are the first device
   * @param batchTokens of a batch, about
   */
  long tokensOfFirst(int members, ImmutableList<int[]> windows, int batchTokens) {
    if (windows.isEmpty()) {
      return 0;
    }
    List<List<int[]>> batches = Perplexity.batches(windows, batchTokens);
    return IntStream.range(0, batches.size())
        .filter(batch -> deviceOfBatch(batch) < members)
        .mapToLong(batch -> batches.get(batch).stream().mapToLong(w -> w.length).sum())
        .sum();
  }

  /** The device that sums up and solves one of several groups of modules. */
  int home(int group) {
    return group % devices;
  }
}
