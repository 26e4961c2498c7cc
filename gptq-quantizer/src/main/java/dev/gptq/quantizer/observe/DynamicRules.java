package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.ModuleOverride;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The rules under {@code dynamic} for modules whose settings differ from those of the whole
 * checkpoint, and for modules that were left out. GPTQModel matches a rule against the names of the
 * single modules, vLLM against those of the layers it fuses them into ({@code qkv_proj}, {@code
 * gate_up_proj}, {@code experts}); a rule here matches both. Blocks with equal rules share one.
 */
public final class DynamicRules {
  private static final Pattern NUMBERED = Pattern.compile("(.*?[.])?(\\d+)[.]");

  /** Modules that vLLM fuses, and the last part of the name of the result. */
  private static final ImmutableMap<ImmutableSet<String>, String> FUSED =
      ImmutableMap.of(
          ImmutableSet.of("q_proj", "k_proj", "v_proj"), "qkv_proj",
          ImmutableSet.of("gate_proj", "up_proj"), "gate_up_proj");

  private DynamicRules() {}

  /** What blocks must have in common to share a rule: the setting, or none where left out. */
  private record Rule(String stem, String modules, ModuleOverride change) {}

  /**
   * The rules.
   *
   * @param spec the model
   * @param reports all modules that were quantized
   * @param base the settings of the checkpoint
   */
  public static ImmutableMap<String, ModuleOverride> of(
      DecoderSpec spec, Collection<ModuleReport> reports, ModuleSettings base) {
    return of(
        spec,
        reports.stream().collect(Collectors.toMap(ModuleReport::name, ModuleReport::precision)),
        base);
  }

  /** The same by the settings of all modules that are quantized. */
  public static ImmutableMap<String, ModuleOverride> of(
      DecoderSpec spec, Map<String, Precision> byName, ModuleSettings base) {
    Map<Rule, Set<Integer>> blocks = new LinkedHashMap<>();
    for (Unit unit : Unit.of(spec, name -> !byName.containsKey(name))) {
      Rule rule =
          new Rule("-:" + stem(unit.spec()), modules(unit.modules().toList()), ModuleOverride.NONE);
      blocks.computeIfAbsent(rule, r -> new TreeSet<>()).add(number(unit.spec()));
    }
    for (Unit unit : Unit.of(spec, byName::containsKey)) {
      Precision precision = byName.get(unit.names().findFirst().orElseThrow());
      if (!precision.equals(base.precision())) {
        ModuleSettings changed =
            new ModuleSettings(precision.bits(), precision.groupSize(), base.sym(), base.descAct());
        String modules = unit.experts() ? experts(unit) : modules(unit.modules().toList());
        Rule rule = new Rule("+:" + stem(unit.spec()), modules, ModuleOverride.of(changed));
        blocks.computeIfAbsent(rule, r -> new TreeSet<>()).add(number(unit.spec()));
      }
    }
    ImmutableMap.Builder<String, ModuleOverride> rules = ImmutableMap.builder();
    blocks.forEach((rule, numbers) ->
        rules.put(rule.stem() + any(strings(numbers)) + "\\." + rule.modules(), rule.change()));
    return rules.buildOrThrow();
  }

  private static String modules(List<LinearSpec> modules) {
    Set<String> names =
        modules.stream()
            .map(LinearSpec::module)
            .collect(Collectors.toCollection(LinkedHashSet::new));
    String parent = parent(modules.getFirst().module());
    Set<String> last =
        names.stream()
            .filter(name -> parent(name).equals(parent))
            .map(name -> name.substring(parent.length()))
            .collect(Collectors.toSet());
    if (FUSED.containsKey(last)) {
      names.add(parent + FUSED.get(last));
    }
    return any(names.stream().map(DynamicRules::escaped).toList()) + "$";
  }

  /** All modules below the experts, and the experts as a whole. */
  private static String experts(Unit unit) {
    String first = unit.modules().findFirst().orElseThrow().module();
    Matcher numbered = NUMBERED.matcher(first);
    if (!numbered.lookingAt() || numbered.group(1) == null) {
      throw new IllegalStateException("experts without a number: " + first);
    }
    String parent = numbered.group(1);
    return escaped(parent.substring(0, parent.length() - 1)) + "(?:\\..*)?$";
  }

  private static String parent(String module) {
    return module.substring(0, module.lastIndexOf('.') + 1);
  }

  private static String stem(BlockSpec block) {
    Matcher numbered = match(block);
    return numbered.group(1) == null ? "" : escaped(numbered.group(1));
  }

  private static int number(BlockSpec block) {
    return Integer.parseInt(match(block).group(2));
  }

  private static Matcher match(BlockSpec block) {
    Matcher numbered = NUMBERED.matcher(block.prefix());
    if (!numbered.matches()) {
      throw new IllegalStateException("block without a number: " + block.prefix());
    }
    return numbered;
  }

  private static List<String> strings(Set<Integer> numbers) {
    return numbers.stream().map(String::valueOf).toList();
  }

  private static String any(List<String> patterns) {
    return patterns.size() == 1 ? patterns.getFirst() : "(?:" + String.join("|", patterns) + ")";
  }

  private static String escaped(String name) {
    return name.replace(".", "\\.");
  }
}
