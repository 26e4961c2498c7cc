package dev.gptq.formats.packed;

import dev.gptq.formats.json.JsonConfig;
import java.util.Optional;
import java.util.OptionalInt;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** The settings that a rule of {@code dynamic} changes; those that it leaves alone are empty. */
public record ModuleOverride(
    OptionalInt bits, OptionalInt groupSize, Optional<Boolean> sym, Optional<Boolean> descAct) {

  /** A rule that changes nothing, such as one that skips modules. */
  public static final ModuleOverride NONE =
      new ModuleOverride(
          OptionalInt.empty(), OptionalInt.empty(), Optional.empty(), Optional.empty());

  /** A rule that sets everything. */
  public static ModuleOverride of(ModuleSettings settings) {
    return new ModuleOverride(
        OptionalInt.of(settings.bits()),
        OptionalInt.of(settings.groupSize()),
        Optional.of(settings.sym()),
        Optional.of(settings.descAct()));
  }

  /** The settings in a rule of a configuration. */
  public static ModuleOverride read(JsonConfig rule) {
    return new ModuleOverride(
        rule.optionalInt("bits"),
        rule.optionalInt("group_size"),
        rule.optionalBoolean("sym"),
        rule.optionalBoolean("desc_act"));
  }

  /** Settings with those changed that the rule has. */
  public ModuleSettings applyTo(ModuleSettings base) {
    return new ModuleSettings(
        bits.orElse(base.bits()),
        groupSize.orElse(base.groupSize()),
        sym.orElse(base.sym()),
        descAct.orElse(base.descAct()));
  }

  /** The settings under the names of a configuration. */
  public ObjectNode toJson() {
    ObjectNode json = JsonMapper.shared().createObjectNode();
    bits.ifPresent(value -> json.put("bits", value));
    groupSize.ifPresent(value -> json.put("group_size", value));
    sym.ifPresent(value -> json.put("sym", value));
    descAct.ifPresent(value -> json.put("desc_act", value));
    return json;
  }
}
