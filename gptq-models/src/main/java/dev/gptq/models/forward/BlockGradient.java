package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.Tensor;
import java.util.Optional;

/** The derivative of a block at the activations that it has been run with. */
final class BlockGradient {
  private final ImmutableList<StepGradient> steps;

  BlockGradient(ImmutableList<StepGradient> steps) {
    this.steps = steps;
  }

  /** Is told when the gradients of the outputs of a group are known. */
  @FunctionalInterface
  interface AtGroup {
    /**
     * A group.
     *
     * @param input of its layers, where inputs are kept
     */
    void seen(Step.Linears group, Optional<Tensor> input);
  }

  /**
   * Turns the gradient of the residual stream behind the block into that before it.
   *
   * @param gradients hold the former and then the latter by the name of the residual stream
   * @param atGroup is told when they also hold the gradients of the outputs of a group
   */
  void back(Registers gradients, AtGroup atGroup) {
    for (StepGradient step : steps.reversed()) {
      step.back(gradients, atGroup);
    }
  }
}
