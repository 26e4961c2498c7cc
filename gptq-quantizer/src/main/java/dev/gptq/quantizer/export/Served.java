package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.models.Model;
import dev.gptq.models.family.Step;
import dev.gptq.quantizer.observe.FusedModules;
import dev.gptq.quantizer.pipeline.ExpertCounts;
import java.util.Collection;
import java.util.Optional;
import java.util.function.Predicate;
import tools.jackson.databind.node.ObjectNode;

/**
 * What of a quantized model decides which programs run it.
 *
 * @param type the family, as {@code model_type} of its configuration
 * @param settings of the modules, each once
 * @param experts whether experts are quantized
 * @param partial whether modules of the blocks were left out
 * @param partialExperts whether some experts are quantized and others were left out
 * @param split whether some were that servers make one of with others that were not
 * @param mixed whether modules may differ in their settings
 * @param windows positions that each layer with attention sees, 0 for all of a text
 */
public record Served(
    String type,
    ImmutableSet<ModuleSettings> settings,
    boolean experts,
    boolean partial,
    boolean partialExperts,
    boolean split,
    boolean mixed,
    ImmutableList<Integer> windows) {

  /** What becomes of a model of which the selected modules are quantized. */
  public static Served of(
      Model model,
      Predicate<String> selection,
      Collection<ModuleSettings> settings,
      boolean mixed) {
    int experts = ExpertCounts.experts(model.spec(), selection).size();
    return new Served(
        model.config().text().stringValue("model_type", ""),
        ImmutableSet.copyOf(settings),
        experts > 0,
        model.spec().linearNames().anyMatch(selection.negate()),
        experts > 0 && experts < ExpertCounts.experts(model.spec(), name -> true).size(),
        FusedModules.split(model.spec(), selection).isPresent(),
        mixed || ImmutableSet.copyOf(settings).size() > 1,
        windows(model));
  }

  /** A window as long as the longest text is none. */
  private static ImmutableList<Integer> windows(Model model) {
    int context = model.spec().context();
    return model.spec().blocks().stream()
        .flatMap(block -> block.steps().stream())
        .filter(Step.Attention.class::isInstance)
        .map(step -> ((Step.Attention) step).spec().window())
        .map(window -> window < context ? window : 0)
        .collect(ImmutableList.toImmutableList());
  }

  /** Of a model as it lies on the disk, quantized. */
  static Served of(Model quantized) {
    Optional<PackedModules> modules = quantized.quantization();
    return of(
        quantized,
        name -> modules.map(found -> found.has(name)).orElse(true),
        modules.map(PackedModules::base).stream().toList(),
        modules.map(PackedModules::settings).map(Served::isMixed).orElse(false));
  }

  private static boolean isMixed(ObjectNode settings) {
    return !settings.path("dynamic").isEmpty() || settings.path("config_groups").size() > 1;
  }

  /** The same for who has been told what is split. */
  public Served withoutSplit() {
    return new Served(type, settings, experts, partial, partialExperts, false, mixed, windows);
  }

  boolean all(Predicate<ModuleSettings> property) {
    return settings.stream().allMatch(property);
  }
}
