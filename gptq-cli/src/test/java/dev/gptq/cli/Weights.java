package dev.gptq.cli;

import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;

/** The numbers that a model's tensors stand for. */
final class Weights {
  private Weights() {}

  /** All of a tensor. */
  static float[] of(Model model, String tensor) {
    StoredTensor found = model.checkpoint().require(tensor);
    // Decoded once, and not for each number.
    StoredTensor stored =
        new StoredTensor(found.name(), found.type(), found.shape(), found.file(), found.data());
    float[] weights = new float[(int) stored.elements()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = Elements.get(stored, i);
    }
    return weights;
  }
}
