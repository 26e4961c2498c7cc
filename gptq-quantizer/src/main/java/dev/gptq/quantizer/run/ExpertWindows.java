package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.quantizer.pipeline.ExpertCounts;
import dev.gptq.quantizer.pipeline.ModuleReport;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Goes on sampling until every expert has seen enough tokens. They are counted with the model in
 * full precision, before the first block: what an expert sees depends on all blocks before it, and
 * those would have to be quantized again with every window that is added later.
 *
 * @param wanted tokens that each expert is to see
 * @param reserve windows that may be taken, in order
 */
record ExpertWindows(int wanted, ImmutableList<int[]> reserve) {
  /** Windows that may be taken, for each that was asked for. */
  static final int MOST = 16;

  /**
   * Quantized blocks before it send other tokens to an expert, so that a tenth more than asked for
   * is aimed at.
   */
  private static final double MARGIN = 1.1;

  /**
   * Windows of the first and as many of the reserve as it takes, or all of it.
   *
   * @param counts of nothing yet
   */
  ImmutableList<int[]> choose(
      ImmutableList<int[]> first, ExpertCounts counts, Consumer<String> notes) {
    counts.add(first);
    int further = 0;
    double aim = MARGIN * wanted;
    while (counts.fewest() < aim && further < reserve.size()) {
      int taken = first.size() + further;
      long fewest = counts.fewest();
      // At the rate seen so far; twice as many where an expert has seen nothing.
      double all = fewest == 0 ? 2.0 * taken : Math.min(2.0 * taken, taken * (aim / fewest));
      int end =
          Math.min(reserve.size(), Math.max(further + 1, (int) Math.ceil(all) - first.size()));
      notes.accept(
          "after %d windows the expert with the fewest tokens has seen %d of %d; taking %d more"
              .formatted(taken, fewest, wanted, end - further));
      counts.add(reserve.subList(further, end));
      further = end;
    }
    notes.accept(
        "calibrating with %d windows, in which the expert with the fewest tokens sees %d in full precision"
            .formatted(first.size() + further, counts.fewest()));
    return ImmutableList.<int[]>builder().addAll(first).addAll(reserve.subList(0, further)).build();
  }

  /** Says which experts saw fewer tokens than wanted when they were quantized. */
  static void tell(
      int wanted,
      Set<String> experts,
      ImmutableList<ModuleReport> reports,
      Consumer<String> notes) {
    Map<String, Long> starved = new LinkedHashMap<>();
    for (ModuleReport report : reports) {
      String expert = ExpertCounts.expertOf(report.name());
      if (report.tokens() < wanted && experts.contains(expert)) {
        starved.put(expert, report.tokens());
      }
    }
    starved.forEach((expert, tokens) ->
        notes.accept(
            "warning: %s saw %d calibration tokens, fewer than --expert-tokens %d; more varied text would"
                    .formatted(expert, tokens, wanted)
                + " reach it"));
  }
}
