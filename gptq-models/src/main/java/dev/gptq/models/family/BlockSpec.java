package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.stream.Stream;

/**
 * A decoder block.
 *
 * @param prefix what the names of its tensors begin with, such as {@code model.layers.0.}
 * @param steps what it computes
 */
public record BlockSpec(String prefix, ImmutableList<Step> steps) {

  /** The linear layers in the order in which they are quantized. */
  public Stream<LinearSpec> linears() {
    return steps.stream()
        .filter(Step.Linears.class::isInstance)
        .flatMap(step -> ((Step.Linears) step).modules().stream());
  }

  /** The full name of one of the block's modules. */
  public String nameOf(LinearSpec linear) {
    return prefix + linear.module();
  }
}
