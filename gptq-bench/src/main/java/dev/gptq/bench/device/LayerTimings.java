package dev.gptq.bench.device;

import dev.gptq.backend.Backend;
import dev.gptq.grid.GridSearch;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/** What quantizing one layer takes once its Hessian is there. */
final class LayerTimings {
  private static final int GROUP = 128;

  private final Stopwatch stopwatch;

  LayerTimings(Stopwatch stopwatch) {
    this.stopwatch = stopwatch;
  }

  /** A layer with 4 bits and groups of 128. */
  void time(int rows, int columns, GridSearch search, ColumnOrder order) {
    Backend backend = stopwatch.backend();
    GptqOptions options =
        GptqOptions.of(GridSpec.of(Scheme.ASYMMETRIC, 4).withSearch(search), GROUP)
            .withOrder(order);
    try (TensorScope scope = backend.newScope()) {
      Operands operands = new Operands(backend, scope);
      Tensor weight = operands.normal(DType.BF16, rows, columns, 0.02);
      Hessian hessian = operands.hessian(columns);
      String name = rows + " x " + columns + " " + search + " " + order;
      stopwatch.time(
          name + ", factor",
          _ -> {
            try (TensorScope local = backend.newScope()) {
              HessianFactor.of(backend, hessian, options, local);
            }
          });
      HessianFactor factor = HessianFactor.of(backend, hessian, options, scope);
      stopwatch.time(
          name + ", column loop",
          _ -> {
            try (TensorScope local = backend.newScope()) {
              new Gptq(backend, options).quantize(weight, factor, local);
            }
          });
    }
  }
}
