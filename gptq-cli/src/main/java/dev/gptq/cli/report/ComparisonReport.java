package dev.gptq.cli.report;

import dev.gptq.cli.console.Table;
import dev.gptq.grid.GridSearch;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.study.Comparison;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import tools.jackson.databind.node.ObjectNode;

/** A comparison for people and for programs. */
public final class ComparisonReport {
  private ComparisonReport() {}

  /** The settings of a row, added to a JSON object. */
  public static ObjectNode describe(Comparison.Row row, ObjectNode json) {
    GptqOptions options = row.options();
    return json.put("method", row.method().name().toLowerCase(Locale.ROOT))
        .put("bits", options.grid().bits())
        .put("group_size", options.groupSize())
        .put("scheme", options.grid().scheme().id())
        .put("sym", !options.grid().scheme().hasZeroPoint())
        .put("mse", options.grid().search() == GridSearch.MSE)
        .put("act_order", options.order() == ColumnOrder.ACTIVATION)
        .put("order", options.order().name().toLowerCase(Locale.ROOT))
        .put("grid", options.grid().search().id())
        .put("target", row.target().kind().id())
        .put("beam", options.refinement().beam())
        .put("refits", options.refinement().refits())
        .put("sweeps", options.refinement().sweeps())
        .put("static_groups", options.staticGroups())
        .put("true_sequential", row.trueSequential());
  }

  private static String text(Comparison.Spread spread, int digits) {
    String mean = String.format(Locale.ROOT, "%." + digits + "f", spread.mean());
    return Double.isNaN(spread.deviation())
        ? mean
        : mean + String.format(Locale.ROOT, " ± %." + digits + "f", spread.deviation());
  }

  /** Perplexities side by side. */
  public static Table table(double full, List<Comparison.Measured> results) {
    boolean divergence = results.stream().anyMatch(r -> r.kl().isPresent());
    List<String> header =
        new ArrayList<>(List.of("method", "bits", "group", "scheme", "perplexity", "change"));
    List<String> first =
        new ArrayList<>(
            List.of("full precision", "", "", "", String.format(Locale.ROOT, "%.3f", full), ""));
    if (divergence) {
      header.addAll(List.of("KL", "time"));
      first.addAll(List.of("", ""));
    }
    Table table = new Table(header.toArray(String[]::new)).row(first.toArray(String[]::new));
    for (Comparison.Measured result : results) {
      GptqOptions options = result.row().options();
      List<String> cells =
          new ArrayList<>(
              List.of(
                  result.row().method().name(),
                  String.valueOf(options.grid().bits()),
                  options.groupSize() == GptqOptions.PER_ROW
                      ? "row"
                      : String.valueOf(options.groupSize()),
                  options.grid().scheme().id(),
                  text(result.perplexity(), 3),
                  String.format(
                      Locale.ROOT, "%+.1f %%", 100 * (result.perplexity().mean() / full - 1))));
      if (divergence) {
        cells.add(text(result.kl().orElseThrow(), 5));
        cells.add(String.format(Locale.ROOT, "%.1f s", result.seconds()));
      }
      table.row(cells.toArray(String[]::new));
    }
    return table;
  }
}
