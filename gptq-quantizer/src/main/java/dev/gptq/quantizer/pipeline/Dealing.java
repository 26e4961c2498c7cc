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

  /** Calibration tokens that go through a block together: enough to fill a GPU. */
  static final int BATCH_TOKENS = 8192;

  private static final int EXPERT_BATCH_TOKENS = 4 * BATCH_TOKENS;

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
    int most = Math.max(1, Math.min(backend.lanes(), LANES / backend.devices()));
    return Math.clamp(alike(spec), 1, most);
  }

  /**
   * Calibration tokens that go through a block together. Of a batch that fills a GPU an expert gets
   * few rows, and the host takes longer to queue its products than a GPU to compute them: where
   * experts are small batches are larger, as long as there is one for each lane.
   *
   * @param windows that are to go through the blocks
   */
  static int batchTokens(DecoderSpec spec, List<int[]> windows) {
    if (alike(spec) < LANES) {
      return BATCH_TOKENS;
    }
    long tokens = windows.stream().mapToLong(window -> window.length).sum();
    return Math.clamp(tokens / LANES, BATCH_TOKENS, EXPERT_BATCH_TOKENS);
  }

  /** Hessians of the model's largest expert that members may hold together; 0 without experts. */
  private static long alike(DecoderSpec spec) {
    long largest =
        spec.blocks().stream()
            .flatMap(block ->
                Stretch.of(block.steps()).stream()
                    .filter(Stretch::isExpert)
                    .map(expert -> ExpertWave.hessianBytes(expert, block.steps())))
            .mapToLong(Long::longValue)
            .max()
            .orElse(0);
    return largest == 0 ? 0 : ExpertWave.HESSIAN_BYTES / largest;
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
