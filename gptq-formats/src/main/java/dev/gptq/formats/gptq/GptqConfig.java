package dev.gptq.formats.gptq;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.ModuleOverride;
import dev.gptq.formats.packed.ModuleSettings;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The quantization settings of a checkpoint, as {@code config.json} holds them under {@code
 * quantization_config} and {@code quantize_config.json} repeats them.
 *
 * @param settings of modules without a rule; codes have 2 to 8 bits
 * @param format how zero points are stored
 * @param dynamic rules for single modules: a regular expression that matches the beginning of the
 *     name; after {@code -:} modules to skip, after {@code +:} or nothing those to change
 * @param meta how the checkpoint was made; informational
 */
public record GptqConfig(
    ModuleSettings settings,
    Version format,
    ImmutableMap<String, ModuleOverride> dynamic,
    ImmutableMap<String, JsonNode> meta) {

  /** How zero points are stored. */
  public enum Version {
    /** As zero − 1, which cannot hold a zero point of 0. */
    V1("gptq"),
    /** As they are. */
    V2("gptq_v2");

    private final String id;

    Version(String id) {
      this.id = id;
    }

    /** The name in the configuration. */
    public String id() {
      return id;
    }
  }

  /** The file that repeats the settings. */
  public static final String FILE = "quantize_config.json";

  static final String SKIP = "-:";

  private static final String CHANGE = "+:";

  /** Settings without rules; {@code meta} names this program. */
  public static GptqConfig of(ModuleSettings settings, Version format) {
    return new GptqConfig(
        settings, format, ImmutableMap.of(), ImmutableMap.of("quantizer", producer()));
  }

  /** This program with its version, for {@code meta}. */
  public static JsonNode producer() {
    return JsonMapper.shared().createArrayNode().add("gptq-java:" + ProductVersion.get());
  }

  /** The same with another format. */
  public GptqConfig withFormat(Version other) {
    return new GptqConfig(settings, other, dynamic, meta);
  }

  /** The same with other rules. */
  public GptqConfig withDynamic(ImmutableMap<String, ModuleOverride> other) {
    return new GptqConfig(settings, format, other, meta);
  }

  /** The same with a further entry of {@code meta}. */
  public GptqConfig withMeta(String key, JsonNode value) {
    ImmutableMap<String, JsonNode> more =
        ImmutableMap.<String, JsonNode>builder().putAll(meta).put(key, value).buildKeepingLast();
    return new GptqConfig(settings, format, dynamic, more);
  }

  /** The settings in a section of {@code config.json}, or in {@link #FILE}. */
  static GptqConfig of(JsonConfig section) {
    return GptqConfigReader.read(section);
  }

  /** The settings of a module, or empty if a rule skips it. The first rule that matches holds. */
  public Optional<ModuleSettings> settingsFor(String module) {
    for (String rule : dynamic.keySet()) {
      if (rule.startsWith(SKIP) && matches(rule.substring(SKIP.length()), module)) {
        return Optional.empty();
      }
    }
    for (Map.Entry<String, ModuleOverride> rule : dynamic.entrySet()) {
      String key = rule.getKey();
      if (!key.startsWith(SKIP)
          && matches(key.startsWith(CHANGE) ? key.substring(CHANGE.length()) : key, module)) {
        return Optional.of(rule.getValue().applyTo(settings));
      }
    }
    return Optional.of(settings);
  }

  private static boolean matches(String regex, String module) {
    try {
      return Pattern.compile(regex).matcher(module).lookingAt();
    } catch (PatternSyntaxException e) {
      throw new BadInputException(
          "quantization rule '%s' is no regular expression: %s"
              .formatted(regex, e.getDescription()),
          e);
    }
  }

  /**
   * Whether the zero points of {@link Version#V1} were made by subtracting ones from whole words of
   * 2, 4 or 8-bit fields, as GPTQModel does: a zero point of 0 then borrows from the next field.
   */
  boolean subtractsWords() {
    JsonNode quantizer = meta.get("quantizer");
    return quantizer != null && quantizer.toString().contains("gptqmodel");
  }

  /** The settings under all the names that loaders look for. */
  public ObjectNode toJson() {
    ObjectNode json = JsonMapper.shared().createObjectNode();
    json.put("bits", settings.bits());
    json.put("group_size", settings.groupSize());
    json.put("desc_act", settings.descAct());
    json.put("sym", settings.sym());
    json.put("lm_head", false);
    json.put("quant_method", "gptq");
    json.put("method", "gptq");
    json.put("checkpoint_format", format.id());
    json.put("format", format.id());
    json.put("pack_dtype", "int32");
    if (!dynamic.isEmpty()) {
      ObjectNode rules = json.putObject("dynamic");
      dynamic.forEach((key, rule) -> rules.set(key, rule.toJson()));
    }
    ObjectNode notes = json.putObject("meta");
    meta.forEach(notes::set);
    return json;
  }
}
