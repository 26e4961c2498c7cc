package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.Routing;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;

/** Chooses experts by what a linear layer makes of an activation, and the derivative of that. */
final class Router {
  private final Backend backend;
  private final Step.Route step;
  private final Linear linear;
  private final float[] correction;
  private final float[] gains;

  Router(Backend backend, BlockWeights weights, Step.Route step) {
    int experts = step.router().outputs();
    Routing routing = step.routing();
    this.backend = backend;
    this.step = step;
    this.linear = weights.linears().get(step.router().module());
    this.correction =
        routing.correction().map(name -> weights.numbers().get(name)).orElse(new float[experts]);
    this.gains = routing.gains().map(name -> weights.numbers().get(name)).orElse(ones(experts));
  }

  private static float[] ones(int count) {
    float[] ones = new float[count];
    Arrays.fill(ones, 1);
    return ones;
  }

  /** Which rows of x go where. */
  Routes routes(Tensor x) {
    float[] logits = logits(x);
    return backend instanceof Rehearsal
        ? Routes.uneven(x.rows(), gains.length, step.routing().chosen())
        : Routes.of(logits, step.routing(), correction, gains);
  }

  /**
   * {@code dx ← dx + } the gradient with respect to x, given that with respect to the weights of
   * experts.
   *
   * @param dWeights rows of x × experts
   */
  void back(Tensor x, Tensor dWeights, Tensor weight, Tensor dx) {
    float[] logits = logits(x);
    try (TensorScope local = backend.newScope()) {
      Tensor read = local.rowMajor(DType.F32, dWeights.rows(), dWeights.columns());
      backend.linalg().convert(dWeights, read);
      float[] gradient =
          backend instanceof Rehearsal
              ? logits
              : Routes.gradient(logits, HostCopies.floats(read), step.routing(), correction, gains);
      Tensor exact =
          local.upload(
              MemorySegment.ofArray(gradient),
              DType.F32,
              read.rows(),
              read.columns(),
              Layout.ROW_MAJOR);
      Tensor dLogits = local.rowMajor(backend.activationType(), read.rows(), read.columns());
      backend.linalg().convert(exact, dLogits);
      backend.linalg().gemm(1, dLogits, weight, 1, dx);
    }
  }

  /** Rows of logits with the bias: they are float32 where activations may not be. */
  private float[] logits(Tensor x) {
    float[] logits = new float[Math.multiplyExact(x.rows(), gains.length)];
    try (TensorScope local = backend.newScope()) {
      Tensor product = local.rowMajor(DType.F32, x.rows(), gains.length);
      linear.multiply(backend, x, product);
      if (backend instanceof Rehearsal) {
        return logits;
      }
      product.copyTo(MemorySegment.ofArray(logits));
    }
    biasOnHost()
        .ifPresent(bias -> {
          for (int i = 0; i < logits.length; i++) {
            logits[i] += bias[i % bias.length];
          }
        });
    return logits;
  }

  private Optional<float[]> biasOnHost() {
    return linear
        .bias()
        .map(bias -> {
          try (TensorScope local = backend.newScope()) {
            Tensor row = local.rowMajor(DType.F32, 1, bias.columns());
            backend.linalg().convert(bias, row);
            return HostCopies.floats(row);
          }
        });
  }
}
