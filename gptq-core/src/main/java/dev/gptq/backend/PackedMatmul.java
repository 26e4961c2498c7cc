package dev.gptq.backend;

import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/** Products of activations with weights that stay packed at 2 to 8 bits. */
public interface PackedMatmul {

  /** Brings packed weights into this backend's memory and layout; they live as long as scope. */
  PackedWeights prepare(PackedMatrix matrix, TensorScope scope);

  /**
   * {@code Y ← X·Wᵀ} with {@code W[o][i] = s[o][g]·(u[o][i] − z[o][g])}, g the group of column i. X
   * is tokens × in, Y tokens × out, both of the backend's activation type with contiguous rows.
   * Serves a single row (decoding) as well as many (prefill).
   */
  void matmul(Tensor x, PackedWeights w, Tensor y);
}
