package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedWeights;
import dev.gptq.tensor.Tensor;
import java.util.Optional;

/**
 * Packed linear layers that share an input, as one product whose columns are theirs one after the
 * other. An output is a sum of its own, so that nothing else changes.
 *
 * @param weight the rows of all layers
 * @param outputs of all layers
 * @param parts the layers in their order
 */
record JoinedLinears(PackedWeights weight, int outputs, ImmutableList<Part> parts) {
  /**
   * One of the layers.
   *
   * @param out the activation that it defines
   * @param from its first column
   * @param to the column behind its last one
   * @param bias 1 × outputs
   */
  record Part(String out, int from, int to, Optional<Tensor> bias) {}

  /** {@code y ← x·Wᵀ + b} of all layers. */
  void apply(Backend backend, Tensor x, Registers registers) {
    registers.defineParts(parts, x.rows(), outputs, y -> backend.packed().matmul(x, weight, y));
    // Loops and no streams: this runs for every token, and is interpreted in a short process.
    for (Part part : parts) {
      if (part.bias().isPresent()) {
        backend.transformer().addBias(part.bias().get(), registers.get(part.out()));
      }
    }
  }
}
