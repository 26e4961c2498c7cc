package dev.gptq.bench.device;

import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedWeights;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;

/**
 * Products with packed weights beside those of the same backend's dense product in float16, which
 * on an NVIDIA GPU is cuBLAS. Both take turns with copies of their weights, so that the cache of
 * the device does not hold the one that comes next.
 */
final class MatmulTimings {
  private static final int GROUP = 128;
  private static final int BYTES_OF_HALF = 2;

  private final Stopwatch stopwatch;
  private final long footprint;

  /**
   * With the bytes that all copies of a weight must take.
   *
   * @param footprint more than the cache of the device
   */
  MatmulTimings(Stopwatch stopwatch, long footprint) {
    this.stopwatch = stopwatch;
    this.footprint = footprint;
  }

  /** Products of some numbers of tokens with weights of one shape. */
  void time(int inputs, int outputs, int bits, int... tokens) {
    Backend backend = stopwatch.backend();
    try (TensorScope scope = backend.newScope()) {
      Operands operands = new Operands(backend, scope);
      PackedMatrix matrix = operands.packed(Scheme.SYMMETRIC, bits, outputs, inputs, GROUP);
      List<PackedWeights> packed = new ArrayList<>();
      for (long bytes = 0; bytes < footprint || packed.isEmpty(); ) {
        packed.add(backend.packed().prepare(matrix, scope));
        bytes += packed.getLast().byteSize();
      }
      List<Tensor> dense = new ArrayList<>();
      for (long bytes = 0; bytes < footprint || dense.isEmpty(); ) {
        dense.add(operands.normal(DType.F16, outputs, inputs, 0.02).transposed());
        bytes += (long) BYTES_OF_HALF * outputs * inputs;
      }
      for (int count : tokens) {
        Tensor x = operands.normal(backend.activationType(), count, inputs, 1);
        Tensor y = scope.rowMajor(backend.activationType(), count, outputs);
        Tensor halves = operands.normal(DType.F16, count, inputs, 1);
        Tensor product = scope.rowMajor(DType.F16, count, outputs);
        double work = 2.0 * count * inputs * outputs;
        String name = inputs + " x " + outputs + ", " + count + " tokens";
        stopwatch.time(
            name + ", " + bits + " bits",
            work,
            "TFLOP/s",
            i -> backend.packed().matmul(x, packed.get(i % packed.size()), y));
        stopwatch.time(
            name + ", peer: float16",
            work,
            "TFLOP/s",
            i -> backend.linalg().gemm(1, halves, dense.get(i % dense.size()), 0, product));
      }
    }
  }
}
