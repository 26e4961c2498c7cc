package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.family.DecoderSpec;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Modules of which loaders make one, so that they must be quantized alike: query, key and value;
 * gate and up; all experts of a block.
 */
public final class FusedModules {
  private FusedModules() {}

  /**
   * Modules of which a selection takes some and leaves others.
   *
   * @param taken full names of those that are selected
   * @param left full names of those that are not
   */
  public record Split(ImmutableList<String> taken, ImmutableList<String> left) {}

  /** The first that a selection splits. */
  public static Optional<Split> split(DecoderSpec spec, Predicate<String> selection) {
    return Unit.of(spec, _ -> true).stream()
        .map(unit ->
            new Split(
                unit.names().filter(selection).collect(ImmutableList.toImmutableList()),
                unit.names().filter(selection.negate()).collect(ImmutableList.toImmutableList())))
        .filter(split -> !split.taken().isEmpty() && !split.left().isEmpty())
        .findFirst();
  }
}
