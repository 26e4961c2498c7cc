package dev.gptq.formats.mlx;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.QuantizedModel;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The settings of an MLX checkpoint.
 *
 * @param base of most modules
 * @param others of the modules that differ, by name
 */
record MlxSettings(Affine base, ImmutableMap<String, Affine> others) {
  private static final String AFFINE = "affine";
  private static final String GROUP = "group_size";
  private static final String BITS = "bits";
  private static final String MODE = "mode";

  /** Width of codes, and columns that share scale and bias. */
  record Affine(int bits, int groupSize) {
    static Affine of(ModuleSettings settings) {
      return new Affine(settings.bits(), MlxFormat.groupSize(settings));
    }

    ObjectNode toJson() {
      return JsonMapper.shared()
          .createObjectNode()
          .put(GROUP, groupSize)
          .put(BITS, bits)
          .put(MODE, AFFINE);
    }
  }

  /** Reads the section {@code quantization} of {@code config.json}. */
  static MlxSettings read(JsonConfig json) {
    ImmutableMap.Builder<String, Affine> others = ImmutableMap.builder();
    for (Map.Entry<String, JsonNode> entry : json.json().properties()) {
      if (entry.getValue().isObject()) {
        others.put(entry.getKey(), affine(json.section(entry.getKey()).orElseThrow()));
      }
    }
    return new MlxSettings(affine(json), others.buildOrThrow());
  }

  private static Affine affine(JsonConfig json) {
    String mode = json.stringValue(MODE, AFFINE);
    if (!mode.equals(AFFINE)) {
      throw new BadInputException(
          "%s: MLX's mode %s cannot be read, only %s can".formatted(json.file(), mode, AFFINE));
    }
    Affine affine = new Affine(json.intValue(BITS), json.intValue(GROUP));
    if (affine.groupSize() < 1 || affine.bits() < 1 || affine.bits() > 8) {
      throw new BadInputException(
          "%s: groups of %d with codes of %d bits are none of MLX"
              .formatted(json.file(), affine.groupSize(), affine.bits()));
    }
    return affine;
  }

  /** The settings of a module, which may be named by the stack that it is in. */
  Affine of(String module) {
    return Stream.concat(Stream.of(module), MlxExperts.stacks(module).stream())
        .flatMap(name -> Optional.ofNullable(others.get(name)).stream())
        .findFirst()
        .orElse(base);
  }

  /** The section for a model. */
  static ObjectNode toJson(QuantizedModel model) {
    Affine base = Affine.of(model.base());
    ObjectNode json = base.toJson();
    model
        .modules()
        .forEach((name, settings) -> {
          Affine own = Affine.of(settings);
          if (!own.equals(base)) {
            json.set(name, own.toJson());
          }
        });
    return json;
  }
}
