package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.grid.GridSearch;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.forward.Decoder;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.IntConsumer;
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

  /**
   * A way and what it gives, means over the calibration draws.
   *
   * @param perplexity of the quantized model
   * @param kl KL divergence from the full-precision model, if asked for
   * @param seconds wall-clock time of one quantization
   */
  record Measured(Row row, Spread perplexity, Optional<Spread> kl, double seconds) {}

  /** Mean and standard deviation over calibration draws; one draw has no deviation. */
  record Spread(double mean, double deviation) {
    static Spread of(List<Double> values) {
      double mean = values.stream().mapToDouble(v -> v).average().orElseThrow();
      double squares = values.stream().mapToDouble(v -> (v - mean) * (v - mean)).sum();
      return new Spread(
          mean, values.size() == 1 ? Double.NaN : Math.sqrt(squares / (values.size() - 1)));
    }

    private String text(int digits) {
      String mean = String.format(Locale.ROOT, "%." + digits + "f", mean());
      return Double.isNaN(deviation)
          ? mean
          : mean + String.format(Locale.ROOT, " ± %." + digits + "f", deviation);
    }
  }

  private final Model model;
  private final Backend backend;
  private final ImmutableList<ImmutableList<int[]>> calibrations;
  private final ImmutableList<int[]> evaluation;
  private final boolean divergence;
  private final Console console;

  /**
   * A comparison.
   *
   * @param calibrations the windows of each draw of the calibration text
   * @param evaluation the windows to measure on
   * @param divergence whether to measure the KL divergence too
   */
  Comparison(
      Model model,
      Backend backend,
      ImmutableList<ImmutableList<int[]>> calibrations,
      ImmutableList<int[]> evaluation,
      boolean divergence,
      Console console) {
    this.model = model;
    this.backend = backend;
    this.calibrations = calibrations;
    this.evaluation = evaluation;
    this.divergence = divergence;
    this.console = console;
  }

  /** The perplexity of the model as it is. */
  double fullPrecision() {
    try (Decoder decoder = decoder(ImmutableMap.of())) {
      return Perplexity.of(decoder, evaluation, progress()).perplexity();
    }
  }

  /** Quantizes and measures in every way. */
  List<Measured> measure(List<Row> rows) {
    if (!divergence) {
      return rows.stream().map(row -> measure(row, Optional.empty())).toList();
    }
    try (Decoder original = decoder(ImmutableMap.of())) {
      return rows.stream().map(row -> measure(row, Optional.of(original))).toList();
    }
  }

  private Measured measure(Row row, Optional<Decoder> original) {
    List<Double> perplexities = new ArrayList<>();
    List<Double> divergences = new ArrayList<>();
    double seconds = 0;
    // Rounding to nearest looks at no text, so that one draw says it all.
    boolean calibrated = row.method() == Method.GPTQ;
    List<ImmutableList<int[]>> draws =
        calibrated ? calibrations : ImmutableList.of(ImmutableList.of());
    for (ImmutableList<int[]> calibration : draws) {
      long start = System.nanoTime();
      ImmutableMap<String, PackedMatrix> packed = quantize(row, calibration);
      seconds += (System.nanoTime() - start) / 1e9;
      try (Decoder decoder = decoder(packed)) {
        if (original.isPresent()) {
          Divergence found = Divergence.of(original.get(), decoder, evaluation, progress());
          perplexities.add(found.perplexity());
          divergences.add(found.kl().mean());
        } else {
          perplexities.add(Perplexity.of(decoder, evaluation, progress()).perplexity());
        }
      }
    }
    Measured measured =
        new Measured(
            row,
            Spread.of(perplexities),
            original.map(_ -> Spread.of(divergences)),
            seconds / draws.size());
    console.milestone(title(row) + ": perplexity " + measured.perplexity().text(3));
    return measured;
  }

  private ImmutableMap<String, PackedMatrix> quantize(Row row, ImmutableList<int[]> calibration) {
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
            calibration,
            store,
            Progress.blocks(console, title(row), 0))
        .run();
    return store.packed();
  }

  private Decoder decoder(ImmutableMap<String, PackedMatrix> packed) {
    return new Decoder(backend, model.spec(), model.weights(backend, packed));
  }

  private IntConsumer progress() {
    return Progress.windows(console, evaluation);
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
    for (Measured result : results) {
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
                  result.perplexity().text(3),
                  String.format(
                      Locale.ROOT, "%+.1f %%", 100 * (result.perplexity().mean() / full - 1))));
      if (divergence) {
        cells.add(result.kl().orElseThrow().text(5));
        cells.add(String.format(Locale.ROOT, "%.1f s", result.seconds()));
      }
      table.row(cells.toArray(String[]::new));
    }
    return table;
  }
}
