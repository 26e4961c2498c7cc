package dev.gptq.formats.mlx;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.codec.Slices;
import dev.gptq.formats.packed.Stacked;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * How mlx-lm names experts: all of a layer are one module, {@code mlp.switch_mlp.gate_proj}, where
 * others have {@code mlp.experts.0.gate_proj} and so on.
 */
final class MlxExperts {
  private static final Pattern MODULE = Pattern.compile("(.*\\.)experts\\.(\\d+)\\.(\\w+)");

  private static final Pattern STACK =
      Pattern.compile(
          "(.*\\.)(?:switch_mlp|experts)\\.(gate_proj|up_proj|down_proj)"
              + "(\\.weight|\\.scales|\\.biases|\\.bias)");

  private static final String BIAS = ".bias";

  /** What the modules are called below. */
  private static final String SWITCH = "switch_mlp.";

  private static final String EXPERTS = "experts.";

  /**
   * Families with the name that mlx-lm has for the experts of a layer. Others are not known to it,
   * or change something else where experts are not stacked yet and nothing where they are.
   */
  private static final ImmutableMap<String, String> FAMILIES =
      ImmutableMap.<String, String>builder()
          .put("mixtral", SWITCH)
          .put("qwen2_moe", SWITCH)
          .put("qwen3_moe", SWITCH)
          .put("glm4_moe", SWITCH)
          .put("minimax_m2", SWITCH)
          .put("granitemoe", SWITCH)
          .put("dots1", EXPERTS)
          .buildOrThrow();

  /** What mlx-lm calls the layers that Mixtral numbers. */
  private static final ImmutableMap<String, String> NAMES =
      ImmutableMap.of("w1", "gate_proj", "w2", "down_proj", "w3", "up_proj");

  /** Where experts have Mixtral's names. */
  private static final String NUMBERED = "block_sparse_moe.";

  private MlxExperts() {}

  /** The stack of a module; see {@link dev.gptq.formats.packed.Format#stacked}. */
  static Optional<Stacked> stacked(String modelType, String module) {
    Matcher name = MODULE.matcher(module);
    if (!name.matches()) {
      return Optional.empty();
    }
    String stack = FAMILIES.get(modelType);
    if (stack == null) {
      throw new BadInputException(
          "mlx-lm runs experts of %s, and not those of models of type %s; write another format"
              .formatted(String.join(", ", FAMILIES.keySet()), modelType));
    }
    String part = NAMES.getOrDefault(name.group(3), name.group(3));
    return Optional.of(new Stacked(name.group(1) + stack + part, Integer.parseInt(name.group(2))));
  }

  /** Names of the stacks that a module may be in. */
  static ImmutableList<String> stacks(String module) {
    Matcher name = MODULE.matcher(module);
    if (!name.matches()) {
      return ImmutableList.of();
    }
    String part = NAMES.getOrDefault(name.group(3), name.group(3));
    return Stream.of(SWITCH, EXPERTS)
        .map(stack -> name.group(1) + stack + part)
        .collect(ImmutableList.toImmutableList());
  }

  /** The checkpoint with a tensor for each expert. */
  static Checkpoint split(Checkpoint checkpoint) {
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    boolean some = false;
    for (String tensor : checkpoint.names()) {
      StoredTensor stored = checkpoint.require(tensor);
      Matcher name = STACK.matcher(tensor);
      int dimensions = tensor.endsWith(BIAS) ? 2 : 3;
      if (!name.matches() || stored.shape().size() != dimensions) {
        tensors.put(tensor, stored);
        continue;
      }
      some = true;
      for (int expert = 0; expert < stored.shape().getFirst(); expert++) {
        String own = name.group(1) + "experts." + expert + "." + own(name) + name.group(3);
        tensors.put(own, Slices.renamed(Slices.part(stored, expert), own));
      }
    }
    return some ? checkpoint.seenAs(ImmutableMap.copyOf(tensors)) : checkpoint;
  }

  private static String own(Matcher name) {
    boolean numbered = name.group(1).endsWith(NUMBERED);
    return NAMES.entrySet().stream()
        .filter(entry -> numbered && entry.getValue().equals(name.group(2)))
        .map(Map.Entry::getKey)
        .findFirst()
        .orElse(name.group(2));
  }
}
