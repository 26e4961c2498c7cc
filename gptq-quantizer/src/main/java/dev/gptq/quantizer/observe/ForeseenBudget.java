package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Bits and group sizes of all units of a model, chosen before it is quantized so that they fit a
 * budget and the divergence that is {@linkplain ExpectedDivergence expected} is as small as can be.
 */
public final class ForeseenBudget {
  /** Name of the log in the folder of a quantized checkpoint. */
  public static final String FILE = "budget-log.jsonl";

  private final ImmutableList<Unit> units;
  private final ImmutableList<ImmutableList<ExpectedDivergence.Setting>> settings;
  private final ImmutableList<Integer> chosen;
  private final double seconds;

  private ForeseenBudget(
      ImmutableList<Unit> units,
      ImmutableList<ImmutableList<ExpectedDivergence.Setting>> settings,
      ImmutableList<Integer> chosen,
      double seconds) {
    this.units = units;
    this.settings = settings;
    this.chosen = chosen;
    this.seconds = seconds;
  }

  /**
   * Chooses.
   *
   * @param selected settings of the run, of which the selection is looked at
   * @param windows of equal length
   * @param bitsPerWeight bits of the quantized modules' tensors over their weights
   */
  public static ForeseenBudget of(
      DecoderSpec spec,
      QuantizationSettings selected,
      ExpectedDivergence expected,
      ImmutableList<int[]> windows,
      double bitsPerWeight) {
    long start = System.nanoTime();
    ImmutableList<Unit> units = Unit.of(spec, selected.selection());
    ImmutableList<ImmutableList<ExpectedDivergence.Setting>> settings = expected.of(windows);
    long weights =
        units.stream()
            .flatMap(Unit::modules)
            .mapToLong(module -> (long) module.outputs() * module.inputs())
            .sum();
    List<List<BitBudget.Rung>> rungs = new ArrayList<>();
    for (List<ExpectedDivergence.Setting> unit : settings) {
      rungs.add(
          unit.stream()
              .map(setting -> new BitBudget.Rung(setting.bytes(), setting.divergence()))
              .toList());
    }
    ImmutableList<Integer> chosen = BitBudget.choose(rungs, (long) (bitsPerWeight / 8 * weights));
    return new ForeseenBudget(units, settings, chosen, (System.nanoTime() - start) / 1e9);
  }

  private ExpectedDivergence.Setting chosen(int unit) {
    return settings.get(unit).get(chosen.get(unit));
  }

  /** What each module gets, by full name. */
  public ImmutableMap<String, Precision> precisions() {
    ImmutableMap.Builder<String, Precision> precisions = ImmutableMap.builder();
    for (int u = 0; u < units.size(); u++) {
      Precision precision = chosen(u).precision();
      units.get(u).names().forEach(name -> precisions.put(name, precision));
    }
    return precisions.buildOrThrow();
  }

  /** What was chosen, for people. */
  public String sentence() {
    Map<Integer, Long> weights = new TreeMap<>();
    double before = 0;
    double after = 0;
    for (int u = 0; u < units.size(); u++) {
      long own = units.get(u).modules().mapToLong(m -> (long) m.outputs() * m.inputs()).sum();
      weights.merge(chosen(u).precision().bits(), own, Long::sum);
      before += settings.get(u).getFirst().divergence();
      after += chosen(u).divergence();
    }
    long all = weights.values().stream().mapToLong(Long::longValue).sum();
    return String.format(
        Locale.ROOT,
        "gradients say where errors cost most (%.1f s): %s; KL expected of roundings %.4g, and %.4g"
            + " with the least for all",
        seconds,
        weights.entrySet().stream()
            .map(width ->
                String.format(
                    Locale.ROOT,
                    "%d bits to %.0f %% of the weights",
                    width.getKey(),
                    100.0 * width.getValue() / all))
            .collect(Collectors.joining(", ")),
        after,
        before);
  }

  /** Every unit with every setting, as lines of JSON without their ends. */
  public ImmutableList<String> lines() {
    JsonMapper mapper = JsonMapper.shared();
    ImmutableList.Builder<String> lines = ImmutableList.builder();
    for (int u = 0; u < units.size(); u++) {
      for (ExpectedDivergence.Setting setting : settings.get(u)) {
        ObjectNode json = mapper.createObjectNode();
        units.get(u).names().forEach(json.putArray("modules")::add);
        json.put("bits", setting.precision().bits())
            .put("group_size", setting.precision().groupSize())
            .put("bytes", setting.bytes())
            .put("expected_kl", setting.divergence())
            .put("kept", setting.equals(chosen(u)));
        lines.add(mapper.writeValueAsString(json));
      }
    }
    return lines.build();
  }
}
