package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableMultiset;
import com.google.common.collect.Multiset;
import dev.gptq.quantizer.store.KeptModule;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Modules that come in any order, of which some wait for others that share their tensors. */
final class UnfinishedStacks {
  private final ExpertStacks stacks;

  /** Modules of each stack by its name. */
  private final Multiset<String> sizes;

  /** Those that wait, by the name of their stack. */
  private final Map<String, Map<String, KeptModule>> waiting = new HashMap<>();

  /**
   * Of some modules.
   *
   * @param modules all that will come, by full name
   */
  UnfinishedStacks(ExpertStacks stacks, ImmutableMap<String, ?> modules) {
    this.stacks = stacks;
    this.sizes =
        modules.keySet().stream()
            .map(stacks::stack)
            .flatMap(Optional::stream)
            .collect(ImmutableMultiset.toImmutableMultiset());
  }

  /** Takes modules, and returns those, and earlier ones, that wait for no others. */
  ImmutableMap<String, KeptModule> add(ImmutableMap<String, KeptModule> come) {
    ImmutableMap.Builder<String, KeptModule> whole = ImmutableMap.builder();
    come.forEach((name, module) -> {
      Optional<String> stack = stacks.stack(name);
      if (stack.isEmpty()) {
        whole.put(name, module);
        return;
      }
      Map<String, KeptModule> others =
          waiting.computeIfAbsent(stack.get(), any -> new LinkedHashMap<>());
      others.put(name, module);
      if (others.size() == sizes.count(stack.get())) {
        whole.putAll(waiting.remove(stack.get()));
      }
    });
    return whole.buildOrThrow();
  }
}
