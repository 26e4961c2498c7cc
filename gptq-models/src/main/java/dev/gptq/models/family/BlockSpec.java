package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A decoder block, or what comes before the first or after the last.
 *
 * @param prefix what the names of its tensors begin with, such as {@code model.layers.0.}
 * @param steps what it computes
 * @param kept activations that later blocks read, beside the residual stream
 */
public record BlockSpec(String prefix, ImmutableList<Step> steps, ImmutableSet<String> kept) {

  /** A block of which later ones read the residual stream only. */
  public BlockSpec(String prefix, ImmutableList<Step> steps) {
    this(prefix, steps, ImmutableSet.of());
  }

  /** The same of which later blocks read other activations as well. */
  public BlockSpec keeping(Set<String> activations) {
    return new BlockSpec(prefix, steps, ImmutableSet.copyOf(activations));
  }

  /** What the block reads before it defines it, beside the residual stream. */
  public ImmutableSet<String> needs() {
    Set<String> defined = new HashSet<>();
    defined.add(Step.RESIDUAL);
    ImmutableSet.Builder<String> needs = ImmutableSet.builder();
    for (Step step : steps) {
      step.reads().stream().filter(name -> !defined.contains(name)).forEach(needs::add);
      defined.addAll(step.defines());
    }
    return needs.build();
  }

  /** The steps of a kind, in their order. */
  public <T extends Step> Stream<T> steps(Class<T> kind) {
    return steps.stream().filter(kind::isInstance).map(kind::cast);
  }

  /** Whether there is a step of a kind. */
  public boolean has(Class<? extends Step> kind) {
    return steps.stream().anyMatch(kind::isInstance);
  }

  /** The groups of linear layers that share an input, in the order in which they are quantized. */
  public Stream<Step.Linears> groups() {
    return steps(Step.Linears.class);
  }

  /** The linear layers in the order in which they are quantized. */
  public Stream<LinearSpec> linears() {
    return groups().flatMap(group -> group.modules().stream());
  }

  /** Whether some of its steps see only the tokens that chose an expert. */
  public boolean hasExperts() {
    return has(Step.Gather.class);
  }

  /** The full name of one of the block's modules. */
  public String nameOf(LinearSpec linear) {
    return prefix + linear.module();
  }
}
