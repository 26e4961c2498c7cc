package dev.gptq.formats.gptq;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.grid.GridSpec;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The tensors of {@link GptqTensors} in one of their versions.
 *
 * @param version how zero points are stored
 */
record GptqFormat(Version version) implements Format {
  @Override
  public String id() {
    return version.id();
  }

  @Override
  public Optional<String> refusal(ModuleSettings settings, int rows, int columns) {
    return GridSpec.isWidth(settings.bits())
        ? Optional.empty()
        : Optional.of("has no codes of " + settings.bits() + " bits");
  }

  @Override
  public int leastZero() {
    return version == Version.V1 ? 1 : 0;
  }

  @Override
  public ImmutableList<StoredTensor> encode(PackedModule module) {
    return GptqTensors.encode(
        module.name(), module.matrix(), version, module.bias(), module.origin());
  }

  @Override
  public ImmutableList<String> parts() {
    return GptqTensors.WEIGHT_PARTS;
  }

  @Override
  public ObjectNode settings(QuantizedModel model) {
    GptqConfig config = GptqConfig.of(model.base(), version).withDynamic(model.rules());
    for (Map.Entry<String, JsonNode> note : model.meta().entrySet()) {
      config = config.withMeta(note.getKey(), note.getValue());
    }
    ObjectNode json = config.toJson();
    boolean partial =
        model.rules().keySet().stream().anyMatch(rule -> rule.startsWith(GptqConfig.SKIP));
    if (partial) {
      ArrayNode names = json.putArray("modules_in_block_to_quantize").addArray();
      model.modules().keySet().forEach(names::add);
    }
    return json;
  }

  @Override
  public Optional<String> settingsFile() {
    return Optional.of(GptqConfig.FILE);
  }

  @Override
  public ImmutableSet<String> ownFiles() {
    return ImmutableSet.of(GptqConfig.FILE);
  }
}
