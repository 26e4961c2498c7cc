package dev.gptq.formats.compressed;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.QuantizedModel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiPredicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The settings of a compressed-tensors checkpoint.
 *
 * @param groups modules that share settings, in the order of the file
 * @param denseWords whether the release that is named packs 3, 5, 6 and 7 bits without gaps
 */
record CompressedSettings(ImmutableList<Group> groups, boolean denseWords) {
  /** The release whose rules are followed: the first that packs all widths densely. */
  private static final String RELEASE = "0.18.0";

  private static final String PACKED = "pack-quantized";
  private static final String REGEX = "re:";
  private static final String LINEAR = "Linear";

  /**
   * Modules that share settings.
   *
   * @param targets names, regular expressions after {@code re:}, or names of classes
   */
  record Group(ImmutableList<String> targets, ModuleSettings settings) {
    boolean names(String module) {
      return targets.contains(module);
    }

    boolean matches(String module) {
      return targets.stream()
          .filter(target -> target.startsWith(REGEX))
          .anyMatch(target -> pattern(target).matcher(module).lookingAt());
    }

    boolean isForLinear(String module) {
      return targets.contains(LINEAR);
    }

    private static Pattern pattern(String target) {
      try {
        return Pattern.compile(target.substring(REGEX.length()));
      } catch (PatternSyntaxException e) {
        throw new BadInputException(
            "target '%s' of the quantization is no regular expression: %s"
                .formatted(target, e.getDescription()),
            e);
      }
    }
  }

  /** Reads the section of {@code config.json}. */
  static CompressedSettings read(JsonConfig json) {
    JsonConfig all =
        json.section("config_groups")
            .orElseThrow(() -> bad(json, "it has no config_groups; download config.json again"));
    String format = json.stringValue("format", PACKED);
    ImmutableList.Builder<Group> groups = ImmutableList.builder();
    for (String name : all.json().propertyNames()) {
      groups.add(group(all.section(name).orElseThrow(() -> bad(json, name + " is empty")), format));
    }
    if (all.json().isEmpty()) {
      throw bad(json, "config_groups is empty; download config.json again");
    }
    return new CompressedSettings(groups.build(), isDense(json.stringValue("version", RELEASE)));
  }

  private static Group group(JsonConfig json, String modelFormat) {
    String format = json.stringValue("format", modelFormat);
    if (!format.equals(PACKED)) {
      throw bad(json, "format " + format + " cannot be read, only " + PACKED + " can");
    }
    if (json.has("input_activations") || json.has("output_activations")) {
      throw bad(json, "activations are quantized too, which cannot be computed here");
    }
    JsonConfig weights =
        json.section("weights").orElseThrow(() -> bad(json, "a group of modules has no weights"));
    String type = weights.stringValue("type", "int");
    if (!type.equals("int")) {
      throw bad(json, "weights of type " + type + " cannot be read, only int can");
    }
    int size = weights.intValue("group_size", -1);
    String strategy = weights.stringValue("strategy", size == -1 ? "channel" : "group");
    boolean rows = strategy.equals("channel") && size == -1;
    if (!rows && !(strategy.equals("group") && (size > 0 || size == -1))) {
      throw bad(json, "scales by " + strategy + " with group_size " + size + " cannot be read");
    }
    String order = weights.stringValue("actorder", "");
    return new Group(
        json.stringList("targets"),
        new ModuleSettings(
            weights.intValue("num_bits"),
            size,
            weights.booleanValue("symmetric", true),
            order.equals("group") || order.equals("dynamic")));
  }

  private static boolean isDense(String version) {
    String[] parts = version.split("[.]", 3);
    try {
      int major = Integer.parseInt(parts[0]);
      return major > 0 || (parts.length > 1 && Integer.parseInt(parts[1]) >= 18);
    } catch (NumberFormatException e) {
      throw new BadInputException("'" + version + "' is no version of compressed-tensors", e);
    }
  }

  /** The settings of most modules. */
  ModuleSettings base() {
    return groups.stream()
        .filter(group -> group.targets().contains(LINEAR))
        .findFirst()
        .orElse(groups.getFirst())
        .settings();
  }

  /** The settings of a module: its name goes before expressions and those before its class. */
  Optional<ModuleSettings> settingsFor(String module) {
    List<BiPredicate<Group, String>> ranks =
        List.of(Group::names, Group::matches, Group::isForLinear);
    for (BiPredicate<Group, String> rank : ranks) {
      for (Group group : groups) {
        if (rank.test(group, module)) {
          return Optional.of(group.settings());
        }
      }
    }
    return Optional.empty();
  }

  /**
   * The section of {@code config.json}. Where all modules are alike their class is the target, else
   * the names of the modules are, so that no loader's order of precedence matters.
   */
  static ObjectNode toJson(QuantizedModel model) {
    Map<ModuleSettings, List<String>> groups = new LinkedHashMap<>();
    model
        .modules()
        .forEach(
            (name, settings) -> groups.computeIfAbsent(settings, s -> new ArrayList<>()).add(name));
    if (groups.size() == 1) {
      groups.replaceAll((settings, names) -> List.of(LINEAR));
    }
    ObjectNode json = JsonMapper.shared().createObjectNode();
    json.put("quant_method", CompressedFormat.ID);
    json.put("version", RELEASE);
    json.put("format", PACKED);
    json.put("quantization_status", "compressed");
    ObjectNode sections = json.putObject("config_groups");
    groups.forEach(
        (settings, targets) -> sections.set("group_" + sections.size(), group(settings, targets)));
    ArrayNode ignore = json.putArray("ignore");
    model.unquantized().forEach(ignore::add);
    json.putNull("kv_cache_scheme");
    json.putNull("global_compression_ratio");
    json.putObject("sparsity_config");
    json.putObject("transform_config");
    return json;
  }

  private static ObjectNode group(ModuleSettings settings, List<String> targets) {
    ObjectNode group = JsonMapper.shared().createObjectNode();
    ArrayNode names = group.putArray("targets");
    targets.forEach(names::add);
    group.put("format", PACKED);
    group.putNull("input_activations");
    group.putNull("output_activations");
    ObjectNode weights = group.putObject("weights");
    weights.put("num_bits", settings.bits());
    weights.put("type", "int");
    weights.put("symmetric", settings.sym());
    if (settings.groupSize() == -1) {
      weights.put("strategy", "channel");
      weights.putNull("group_size");
    } else {
      weights.put("strategy", "group");
      weights.put("group_size", settings.groupSize());
    }
    weights.put("dynamic", false);
    weights.put("observer", "minmax");
    return group;
  }

  private static BadInputException bad(JsonConfig json, String what) {
    return new BadInputException(json.file() + ": compressed-tensors: " + what);
  }
}
