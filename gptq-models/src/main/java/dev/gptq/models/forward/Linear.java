package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedWeights;
import dev.gptq.tensor.Tensor;
import java.util.Optional;

/** The weights of a linear layer {@code y = x·Wᵀ + b}, dense or packed. */
public sealed interface Linear {

  /** The bias, 1 × outputs. */
  Optional<Tensor> bias();

  /** {@code y ← x·Wᵀ + b}; x is tokens × inputs, y tokens × outputs. */
  default void apply(Backend backend, Tensor x, Tensor y) {
    multiply(backend, x, y);
    bias().ifPresent(b -> backend.transformer().addBias(b, y));
  }

  /** {@code y ← x·Wᵀ}. */
  void multiply(Backend backend, Tensor x, Tensor y);

  /**
   * Dense weights.
   *
   * @param weight outputs × inputs, of the backend's activation type
   */
  record Dense(Tensor weight, Optional<Tensor> bias) implements Linear {
    @Override
    public void multiply(Backend backend, Tensor x, Tensor y) {
      backend.linalg().gemm(1, x, weight.transposed(), 0, y);
    }
  }

  /** Weights that stay packed. */
  record Packed(PackedWeights weight, Optional<Tensor> bias) implements Linear {
    @Override
    public void multiply(Backend backend, Tensor x, Tensor y) {
      backend.packed().matmul(x, weight, y);
    }
  }
}
