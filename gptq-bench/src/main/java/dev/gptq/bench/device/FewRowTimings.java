package dev.gptq.bench.device;

import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedWeights;
import dev.gptq.backend.Recording;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Products of few rows with packed weights of every width, without what launching one by one costs:
 * a recording of many products, a CUDA graph on an NVIDIA GPU, is replayed. The products take turns
 * with copies of their weights that no cache holds together. Prints microseconds, the floor that
 * the weights' bytes set, and the floor's share of the time.
 */
final class FewRowTimings {
  private static final int GROUP = 128;
  private static final int PRODUCTS = 96;
  private static final int REPLAYS_AT_ONCE = 3;
  private static final int ROUNDS = 7;

  /** Bytes a microsecond of the floor: 3.0 TB/s, what an H100 reads at best. */
  private static final double FLOOR = 3.0e6;

  private final Backend backend;
  private final PrintStream out;
  private final long footprint;

  FewRowTimings(Backend backend, PrintStream out, long footprint) {
    this.backend = backend;
    this.out = out;
    this.footprint = footprint;
  }

  /** Products of some numbers of tokens with weights of 2 to 8 bits. */
  void time(int inputs, int outputs, int... tokens) {
    for (int bits = 2; bits <= Byte.SIZE; bits++) {
      try (TensorScope scope = backend.newScope()) {
        Operands operands = new Operands(backend, scope);
        PackedMatrix matrix = operands.packed(Scheme.SYMMETRIC, bits, outputs, inputs, GROUP);
        List<PackedWeights> weights = new ArrayList<>();
        for (long bytes = 0; bytes < footprint; bytes += weights.getLast().byteSize()) {
          weights.add(backend.packed().prepare(matrix, scope));
        }
        for (int count : tokens) {
          time(
              inputs + " x " + outputs + ", " + bits + " bits, " + count + " tokens",
              weights,
              operands.normal(backend.activationType(), count, inputs, 1),
              scope.rowMajor(backend.activationType(), count, outputs));
        }
      }
    }
  }

  private void time(String name, List<PackedWeights> weights, Tensor x, Tensor y) {
    backend.packed().matmul(x, weights.getFirst(), y);
    try (Recording recording =
        backend.record(() -> {
          for (int i = 0; i < PRODUCTS; i++) {
            backend.packed().matmul(x, weights.get(i % weights.size()), y);
          }
        })) {
      replay(recording);
      double[] times = new double[ROUNDS];
      for (int i = 0; i < ROUNDS; i++) {
        times[i] = replay(recording);
      }
      Arrays.sort(times);
      double median = times[ROUNDS / 2];
      double floor = weights.getFirst().byteSize() / FLOOR;
      out.printf(
          Locale.ROOT,
          "%-44s %8.2f us (%.2f to %.2f), floor %6.2f us, %3.0f %%%n",
          name,
          median,
          times[0],
          times[ROUNDS - 1],
          floor,
          100 * floor / median);
    }
  }

  /** Microseconds of a product; several replays, so that the start of the first hardly counts. */
  private double replay(Recording recording) {
    backend.synchronize();
    long start = System.nanoTime();
    for (int i = 0; i < REPLAYS_AT_ONCE; i++) {
      recording.replay();
    }
    backend.synchronize();
    return (System.nanoTime() - start) / 1e3 / (REPLAYS_AT_ONCE * PRODUCTS);
  }
}
