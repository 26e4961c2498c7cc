package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Maps;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.Model;
import dev.gptq.models.family.Parameters;
import dev.gptq.quantizer.observe.DynamicRules;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** What configurations say of a model and its modules. */
final class Descriptions {
  private static final String WEIGHT = ".weight";

  /** The output layer of nearly all models; tied ones have no tensor of it. */
  private static final String HEAD = "lm_head";

  private Descriptions() {}

  /** Describes the model, given the settings of each of its quantized modules. */
  static QuantizedModel of(
      Model model, CheckpointSettings settings, ImmutableMap<String, ModuleSettings> modules) {
    return new QuantizedModel(
        settings.base(),
        new ExpertStacks(model, settings.format()).settings(model, modules),
        unquantized(model, modules.keySet()),
        DynamicRules.of(
            model.spec(),
            Maps.transformValues(modules, ModuleSettings::precision),
            settings.base()),
        settings.meta());
  }

  /** Whatever has a matrix and is neither quantized nor an embedding: routers, excluded modules. */
  private static ImmutableList<String> unquantized(Model model, Set<String> quantized) {
    Checkpoint checkpoint = model.checkpoint();
    Set<String> names = new TreeSet<>();
    names.add(HEAD);
    for (String tensor : checkpoint.names()) {
      if (tensor.endsWith(WEIGHT)
          && checkpoint.require(tensor).shape().size() == 2
          && !tensor.equals(model.spec().embedding().table())) {
        names.add(tensor.substring(0, tensor.length() - WEIGHT.length()));
      }
    }
    names.removeAll(quantized);
    return ImmutableList.copyOf(names);
  }

  /**
   * The type in which the model runs: that of its embedding, or of its norms where a packed
   * embedding is only seen as real numbers. In GGUF files norms are float32 whatever the model runs
   * in, and scales float16.
   */
  static StoredType type(Model model) {
    StoredTensor table = model.checkpoint().require(model.spec().embedding().table());
    Optional<String> blocks = model.blockType(Parameters.module(table.name()));
    if (blocks.isPresent()) {
      return blocks.get().equals(table.type().name()) ? table.type() : StoredType.F16;
    }
    boolean stored =
        model.checkpoint().inFiles().stream()
            .anyMatch(t -> t.name().equals(table.name()) && t.type() == table.type());
    return stored
        ? table.type()
        : model.checkpoint().inFiles().stream()
            .filter(tensor -> tensor.name().endsWith("norm.weight"))
            .map(StoredTensor::type)
            .findFirst()
            .orElse(table.type());
  }
}
