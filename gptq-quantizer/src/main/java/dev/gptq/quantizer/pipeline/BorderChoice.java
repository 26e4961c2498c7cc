package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * Where a backward pass has the residual stream before each block, and what it takes.
 *
 * @param where on the device where there is room, unless it is asked for
 * @param tensors bytes of tensors with which that is so
 * @param files bytes of files
 */
public record BorderChoice(HiddenStates where, long tensors, long files) {

  /**
   * The choice for some work with backward passes.
   *
   * @param asked where it is to be, if that is said
   * @param borders bytes of the streams of one pass
   * @param tensors bytes of tensors that the work takes with those in some place
   */
  public static BorderChoice of(
      Backend backend,
      Optional<HiddenStates> asked,
      long borders,
      ToLongFunction<HiddenStates> tensors) {
    long room = backend.memory().most();
    HiddenStates first = asked.orElse(HiddenStates.DEVICE);
    BorderChoice choice = of(first, borders, tensors);
    if (choice.tensors() <= room || asked.isPresent()) {
      return choice;
    }
    BorderChoice other = of(elsewhere(backend, borders), borders, tensors);
    return other.tensors() < choice.tensors() ? other : choice;
  }

  /** What is done to make it fit, for people. */
  public Optional<String> note() {
    return where == HiddenStates.DEVICE ? Optional.empty() : Optional.of(note(where));
  }

  static String note(HiddenStates where) {
    return "hidden states between the blocks of a backward pass lie " + where.place();
  }

  private static BorderChoice of(
      HiddenStates where, long borders, ToLongFunction<HiddenStates> tensors) {
    return new BorderChoice(
        where, tensors.applyAsLong(where), where == HiddenStates.FILES ? borders : 0);
  }

  /**
   * Where so many bytes of hidden states go that a device has no room for. The memory of a CPU is
   * that of the machine.
   */
  static HiddenStates elsewhere(Backend backend, long bytes) {
    return backend.copiesBesideWork() && bytes < MemoryCounts.available().orElse(0) / 2
        ? HiddenStates.HOST
        : HiddenStates.FILES;
  }
}
