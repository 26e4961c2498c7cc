package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.Step;
import java.util.function.Consumer;

/** The derivative of a block at the activations that it has been run with. */
final class BlockGradient {
  private final ImmutableList<StepGradient> steps;

  BlockGradient(ImmutableList<StepGradient> steps) {
    this.steps = steps;
  }

  /**
   * Turns the gradient of the residual stream behind the block into that before it.
   *
   * @param gradients hold the former and then the latter by the name of the residual stream
   * @param atGroup is told when they also hold the gradients of the outputs of a group
   */
  void back(Registers gradients, Consumer<Step.Linears> atGroup) {
    for (StepGradient step : steps.reversed()) {
      step.back(gradients, atGroup);
    }
  }
}
