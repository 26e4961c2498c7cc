package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Arrays;
import java.util.Optional;

/** Takes the rows of the tokens that chose an expert out of an activation, and adds them to one. */
final class ExpertRows {
  private final Backend backend;
  private final int expert;
  private final Routes.Expert own;

  /** Where tokens and weights are in the backend's memory, as long as that is known. */
  private final Optional<RoutedRows> there;

  /** Rows of an expert that bring what they need with each operation. */
  ExpertRows(Backend backend, Routes routes, int expert) {
    this(backend, routes, expert, Optional.empty());
  }

  /** Rows of an expert for operations while routes are in the backend's memory. */
  ExpertRows(Backend backend, RoutedRows routes, int expert) {
    this(backend, routes.routes(), expert, Optional.of(routes));
  }

  private ExpertRows(Backend backend, Routes routes, int expert, Optional<RoutedRows> there) {
    this.backend = backend;
    this.expert = expert;
    this.own = routes.experts().get(expert);
    this.there = there;
  }

  /** How many there are. */
  int count() {
    return own.tokens().length();
  }

  private Tensor tokens(TensorScope scope) {
    return there.isPresent() ? there.get().tokens(expert) : scope.upload(own.tokens().toArray());
  }

  private Tensor factors(boolean weighted, TensorScope scope) {
    if (weighted) {
      return there.isPresent() ? there.get().weights(expert) : scope.upload(own.factors());
    }
    float[] ones = new float[count()];
    Arrays.fill(ones, 1);
    return scope.upload(ones);
  }

  /** {@code y[t] ← x[token t]}, times the weight of t if it is weighted. */
  void gather(Tensor x, boolean weighted, Tensor y) {
    try (TensorScope local = backend.newScope()) {
      backend.transformer().gatherRows(x, tokens(local), y);
    }
    if (weighted) {
      weigh(y);
    }
  }

  /** {@code y[t] ← weight[t]·y[t]}, as {@code y + (weight − 1)·y}. */
  void weigh(Tensor y) {
    int[] rows = new int[count()];
    Arrays.setAll(rows, t -> t);
    float[] less = own.factors();
    for (int t = 0; t < less.length; t++) {
      less[t] -= 1;
    }
    try (TensorScope local = backend.newScope()) {
      Tensor copy = local.rowMajor(y.type(), y.rows(), y.columns());
      backend.linalg().convert(y, copy);
      backend.transformer().scatterAddRows(copy, local.upload(rows), local.upload(less), y);
    }
  }

  /** {@code y[token t] ← y[token t] + x[t]}, times the weight of t if it is weighted. */
  void scatter(Tensor x, boolean weighted, Tensor y) {
    try (TensorScope local = backend.newScope()) {
      backend.transformer().scatterAddRows(x, tokens(local), factors(weighted, local), y);
    }
  }

  /**
   * {@code dWeights[token t][expert] ← … + Σ a[t]∘b[t]}, the gradient with respect to weights.
   *
   * @param a what was weighted
   * @param b the gradient with respect to the product
   * @param dWeights tokens × experts
   */
  void addDots(Tensor a, Tensor b, Tensor dWeights) {
    try (TensorScope local = backend.newScope()) {
      Tensor x = local.columnMajor(DType.F32, a.rows(), a.columns());
      Tensor y = local.columnMajor(DType.F32, a.rows(), a.columns());
      backend.linalg().convert(a, x);
      backend.linalg().convert(b, y);
      Tensor dots = local.columnMajor(DType.F32, a.rows(), 1);
      backend.linalg().rowDots(x, y, dots);
      Tensor sums = local.rowMajor(backend.activationType(), a.rows(), 1);
      backend.linalg().convert(dots, sums);
      scatter(sums, false, dWeights.columns(expert, expert + 1));
    }
  }
}
