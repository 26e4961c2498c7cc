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
 * @param parts the layers in their order
 */
record JoinedLinears(PackedWeights weight, ImmutableList<Part> parts) {
  /**
   * One of the layers.
   *
   * @param out the activation that it defines
   * @param bias 1 × outputs
   */
  record Part(String out, int outputs, Optional<Tensor> bias) {}

  /** {@code y ← x·Wᵀ + b} of all layers. */
  void apply(Backend backend, Tensor x, Registers registers) {
    registers.defineParts(
        parts.stream().map(Part::out).toList(),
        x.rows(),
        parts.stream().mapToInt(Part::outputs).toArray(),
        y -> backend.packed().matmul(x, weight, y));
    for (Part part : parts) {
      part.bias().ifPresent(b -> backend.transformer().addBias(b, registers.get(part.out())));
    }
  }
}
