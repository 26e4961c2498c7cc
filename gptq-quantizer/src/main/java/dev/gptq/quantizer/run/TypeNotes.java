package dev.gptq.quantizer.run;

import dev.gptq.formats.gguf.GgufType;
import dev.gptq.quantizer.gguf.Mixture;
import java.util.Collection;
import java.util.EnumMap;
import java.util.Map;
import java.util.stream.Collectors;

/** What a mixture chose. */
final class TypeNotes {
  private TypeNotes() {}

  /** As a sentence, with the types in their order. */
  static String of(Mixture mixture, Map<String, GgufType> types) {
    return "types of "
        + mixture
        + ": "
        + counts(types.values()).entrySet().stream()
            .map(type -> type.getValue() + " " + type.getKey())
            .collect(Collectors.joining(", "));
  }

  private static Map<GgufType, Integer> counts(Collection<GgufType> types) {
    Map<GgufType, Integer> counts = new EnumMap<>(GgufType.class);
    types.forEach(type -> counts.merge(type, 1, Integer::sum));
    return counts;
  }
}
