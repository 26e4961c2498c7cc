package dev.gptq.formats.gptq;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.ModuleOverride;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.grid.GridSpec;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/** Reads {@link GptqConfig}s, older names of the keys included. */
final class GptqConfigReader {
  private final JsonConfig json;

  private GptqConfigReader(JsonConfig json) {
    this.json = json;
  }

  static GptqConfig read(JsonConfig section) {
    return new GptqConfigReader(section).read();
  }

  private GptqConfig read() {
    requireGptq();
    ModuleSettings settings =
        new ModuleSettings(
            json.anyInt("bits", "w_bit", "wbits"),
            json.anyInt("group_size", "q_group_size", "groupsize"),
            sym(),
            json.booleanValue("desc_act", false));
    requireSupported(settings, "");
    ImmutableMap<String, ModuleOverride> dynamic = dynamic();
    dynamic.forEach((rule, change) -> requireSupported(change.applyTo(settings), " in " + rule));
    return new GptqConfig(settings, format(), dynamic, meta());
  }

  private boolean sym() {
    Optional<Boolean> zeroPoint = json.optionalBoolean("zero_point");
    return json.booleanValue("sym", !zeroPoint.orElse(false));
  }

  private void requireGptq() {
    String method = first("quant_method", "method").orElse("gptq");
    if (!method.equalsIgnoreCase("gptq")) {
      throw bad("the model is quantized with " + method + "; only GPTQ checkpoints can be read");
    }
    if (json.booleanValue("is_marlin_format", false)) {
      throw bad("weights in marlin order cannot be read; use the original GPTQ checkpoint");
    }
    String words = json.stringValue("pack_dtype", "int32");
    if (!words.equals("int32")) {
      throw bad("codes packed in " + words + " cannot be read; pack them in int32");
    }
  }

  private void requireSupported(ModuleSettings settings, String where) {
    int bits = settings.bits();
    if (!GridSpec.isWidth(bits)) {
      throw bad("bits" + where + " must be between 2 and 8 but is " + bits);
    }
    if (settings.groupSize() != -1 && settings.groupSize() <= 0) {
      throw bad("group_size" + where + " must be positive or -1 but is " + settings.groupSize());
    }
  }

  private Version format() {
    String id = first("checkpoint_format", "format", "version").orElse(Version.V1.id());
    for (Version version : Version.values()) {
      if (version.id().equals(id)) {
        return version;
      }
    }
    throw bad("format '" + id + "' cannot be read; convert the checkpoint to gptq or gptq_v2");
  }

  private Optional<String> first(String... keys) {
    return Stream.of(keys).map(json::optionalString).flatMap(Optional::stream).findFirst();
  }

  private ImmutableMap<String, ModuleOverride> dynamic() {
    ImmutableMap.Builder<String, ModuleOverride> rules = ImmutableMap.builder();
    Optional<JsonConfig> section = json.section("dynamic");
    if (section.isPresent()) {
      for (String rule : section.get().json().propertyNames()) {
        rules.put(
            rule,
            section.get().section(rule).map(ModuleOverride::read).orElse(ModuleOverride.NONE));
      }
    }
    return rules.buildOrThrow();
  }

  private ImmutableMap<String, JsonNode> meta() {
    return json.section("meta")
        .map(meta ->
            meta.json().properties().stream()
                .collect(ImmutableMap.toImmutableMap(Map.Entry::getKey, Map.Entry::getValue)))
        .orElse(ImmutableMap.of());
  }

  private BadInputException bad(String what) {
    return new BadInputException(json.file() + ": " + what);
  }
}
