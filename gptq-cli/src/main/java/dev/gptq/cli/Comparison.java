package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.grid.GridSearch;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.pipeline.MemoryStore;
import dev.gptq.models.pipeline.QuantizationJob;
import dev.gptq.models.pipeline.QuantizationSettings;
import dev.gptq.models.pipeline.QuantizationSettings.Method;
import dev.gptq.models.pipeline.Target;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/** Quantizes a model in several ways, in memory, and measures each on its packed weights. */
final class Comparison {

  /** One way to quantize. */
  record Row(Method method, GptqOptions options, Target target, boolean trueSequential) {
    ObjectNode describe(ObjectNode json) {
      return json.put("method", method.name().toLowerCase(Locale.ROOT))
          .put("bits", options.grid().bits())
          .put("group_size", options.groupSize())
          .put("scheme", options.grid().scheme().id())
          .put("sym", !options.grid().scheme().hasZeroPoint())
          .put("mse", options.grid().search() == GridSearch.MSE)
          .put("act_order", options.order() == ColumnOrder.ACTIVATION)
          .put("order", options.order().name().toLowerCase(Locale.ROOT))
          .put("grid", options.grid().search().id())
          .put("target", target.kind().id())
          .put("beam", options.refinement().beam())
          .put("refits", options.refinement().refits())
          .put("sweeps", options.refinement().sweeps())
          .put("static_groups", options.staticGroups())
          .put("true_sequential", trueSequential);
    }
  }

  /** A way and what it gives. */
  record Measured(Row row, double perplexity, double seconds) {}

  private final Model model;
  private final Backend backend;
  private final ImmutableList<int[]> calibration;
  private final ImmutableList<int[]> evaluation;
  private final Console console;

  Comparison(
      Model model,
      Backend backend,
      ImmutableList<int[]> calibration,
      ImmutableList<int[]> evaluation,
      Console console) {
    this.model = model;
    this.backend = backend;
    this.calibration = calibration;
    this.evaluation = evaluation;
    this.console = console;
  }

  /** The perplexity of the model as it is. */
  double fullPrecision() {
    return perplexity(ImmutableMap.of());
  }

  /** Quantizes and measures in every way. */
  List<Measured> measure(List<Row> rows) {
    ImmutableList.Builder<Measured> measured = ImmutableList.builder();
    for (Row row : rows) {
      long start = System.nanoTime();
      ImmutableMap<String, PackedMatrix> packed = quantize(row);
      double seconds = (System.nanoTime() - start) / 1e9;
      double perplexity = perplexity(packed);
      console.milestone(title(row) + String.format(Locale.ROOT, ": perplexity %.3f", perplexity));
      measured.add(new Measured(row, perplexity, seconds));
    }
    return measured.build();
  }

  /** Quantizes in one way. */
  ImmutableMap<String, PackedMatrix> quantize(Row row) {
    MemoryStore store = new MemoryStore();
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            new QuantizationSettings(
                row.method(),
                row.options(),
                row.target(),
                row.trueSequential(),
                Optional.empty(),
                Optional.empty()),
            row.method() == Method.RTN ? ImmutableList.of() : calibration,
            store,
            Progress.blocks(console, title(row), 0))
        .run();
    return store.packed();
  }

  private double perplexity(ImmutableMap<String, PackedMatrix> packed) {
    try (Decoder decoder = new Decoder(backend, model.spec(), model.weights(backend, packed))) {
      return Perplexity.of(decoder, evaluation, Progress.windows(console, evaluation)).perplexity();
    }
  }

  private static String title(Row row) {
    return row.method()
        + " "
        + row.options().grid().bits()
        + " bits, group size "
        + row.options().groupSize();
  }

  /** Perplexities side by side. */
  static Table table(double full, List<Measured> results) {
    Table table = new Table("method", "bits", "group", "scheme", "perplexity", "change");
    table.row("full precision", "", "", "", String.format(Locale.ROOT, "%.3f", full), "");
    for (Measured result : results) {
      GptqOptions options = result.row().options();
      table.row(
          result.row().method().name(),
          String.valueOf(options.grid().bits()),
          options.groupSize() == GptqOptions.PER_ROW ? "row" : String.valueOf(options.groupSize()),
          options.grid().scheme().id(),
          String.format(Locale.ROOT, "%.3f", result.perplexity()),
          String.format(Locale.ROOT, "%+.1f %%", 100 * (result.perplexity() / full - 1)));
    }
    return table;
  }
}
