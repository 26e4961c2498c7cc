package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.stream.Stream;

/**
 * A decoder block, or what comes before the first or after the last.
 *
 * @param prefix what the names of its tensors begin with, such as {@code model.layers.0.}
 * @param steps what it computes
 */
public record BlockSpec(String prefix, ImmutableList<Step> steps) {

  /** The groups of linear layers that share an input, in the order in which they are quantized. */
  public Stream<Step.Linears> groups() {
    return steps.stream().filter(Step.Linears.class::isInstance).map(Step.Linears.class::cast);
  }

  /** The linear layers in the order in which they are quantized. */
  public Stream<LinearSpec> linears() {
    return groups().flatMap(group -> group.modules().stream());
  }

  /** The full name of one of the block's modules. */
  public String nameOf(LinearSpec linear) {
    return prefix + linear.module();
  }
}
