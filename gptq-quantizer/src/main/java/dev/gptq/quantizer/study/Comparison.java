package dev.gptq.quantizer.study;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Divergence;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.forward.TextModel;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Target;
import dev.gptq.quantizer.tune.ModelTuning;
import dev.gptq.quantizer.tune.Tuning;
import dev.gptq.quantizer.tune.TuningNotes;
import dev.gptq.quantizer.tune.TuningStates;
import dev.gptq.quantizer.tune.TuningText;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.IntConsumer;

/** Quantizes a model in several ways, in memory, and measures each on its packed weights. */
public final class Comparison {

  /** One way to quantize. */
  public record Row(
      Method method,
      GptqOptions options,
      Target target,
      Curvature curvature,
      boolean trueSequential) {}

  /**
   * A way and what it gives, means over the calibration draws.
   *
   * @param perplexity of the quantized model
   * @param kl KL divergence from the full-precision model, if asked for
   * @param seconds wall-clock time of one quantization
   */
  public record Measured(Row row, Spread perplexity, Optional<Spread> kl, double seconds) {}

  /** Mean and standard deviation over calibration draws; one draw has no deviation. */
  public record Spread(double mean, double deviation) {
    static Spread of(List<Double> values) {
      double mean = values.stream().mapToDouble(v -> v).average().orElseThrow();
      double squares = values.stream().mapToDouble(v -> (v - mean) * (v - mean)).sum();
      return new Spread(
          mean, values.size() == 1 ? Double.NaN : Math.sqrt(squares / (values.size() - 1)));
    }
  }

  private final Model model;
  private final Backend backend;
  private final ImmutableList<ImmutableList<int[]>> calibrations;
  private final ImmutableList<int[]> evaluation;
  private final boolean divergence;
  private final Loading loading;
  private final MeasuringListener listener;
  private Optional<Tuned> tuned = Optional.empty();

  private record Tuned(Tuning tuning, TuningText text) {}

  /**
   * A comparison.
   *
   * @param calibrations the windows of each draw of the calibration text
   * @param evaluation the windows to measure on
   * @param divergence whether to measure the KL divergence too
   * @param loading how the models that are measured come into memory: decided, see {@link
   *     Loading#resolve}
   */
  public Comparison(
      Model model,
      Backend backend,
      ImmutableList<ImmutableList<int[]>> calibrations,
      ImmutableList<int[]> evaluation,
      boolean divergence,
      Loading loading,
      MeasuringListener listener) {
    this.model = model;
    this.backend = backend;
    this.calibrations = calibrations;
    this.evaluation = evaluation;
    this.divergence = divergence;
    this.loading = loading;
    this.listener = listener;
  }

  /** Tunes the whole model after every quantization with GPTQ. */
  public Comparison tuning(Tuning how, TuningText text) {
    tuned = Optional.of(new Tuned(how, text));
    return this;
  }

  /** The perplexity of the model as it is. */
  public double fullPrecision() {
    try (TextModel loaded = load(ImmutableMap.of())) {
      return Perplexity.of(loaded, evaluation, progress()).perplexity();
    }
  }

  /** Quantizes and measures in every way. */
  public List<Measured> measure(List<Row> rows) {
    if (!divergence) {
      return rows.stream().map(row -> measure(row, Optional.empty())).toList();
    }
    try (TextModel original = load(ImmutableMap.of())) {
      return rows.stream().map(row -> measure(row, Optional.of(original))).toList();
    }
  }

  private Measured measure(Row row, Optional<TextModel> original) {
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
      try (TextModel loaded = load(packed)) {
        if (original.isPresent()) {
          Divergence found = Divergence.of(original.get(), loaded, evaluation, progress());
          perplexities.add(found.perplexity());
          divergences.add(found.kl().mean());
        } else {
          perplexities.add(Perplexity.of(loaded, evaluation, progress()).perplexity());
        }
      }
    }
    Measured measured =
        new Measured(
            row,
            Spread.of(perplexities),
            original.map(_ -> Spread.of(divergences)),
            seconds / draws.size());
    listener.measured(title(row), measured.perplexity().mean());
    return measured;
  }

  private ImmutableMap<String, PackedMatrix> quantize(Row row, ImmutableList<int[]> calibration) {
    MemoryStore store = new MemoryStore();
    QuantizationSettings settings =
        new QuantizationSettings(
            row.method(),
            row.options(),
            row.target(),
            row.curvature(),
            row.trueSequential(),
            Optional.empty(),
            Optional.empty());
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            settings,
            calibration,
            store,
            listener.quantizing(title(row)))
        .run();
    if (row.method() == Method.GPTQ) {
      tuned.ifPresent(how ->
          new ModelTuning(
                  model.spec(),
                  settings,
                  how.tuning(),
                  how.text().writtenFor(how.tuning(), model.spec().linearWeights()))
              .run(
                  backend,
                  model.weights(backend),
                  store::modules,
                  store,
                  TuningStates.NONE,
                  new TuningNotes(
                      listener::note, look -> listener.tuning(how.tuning().steps(), look))));
    }
    return store.packed();
  }

  private TextModel load(ImmutableMap<String, PackedMatrix> packed) {
    return loading.load(backend, model, packed);
  }

  private IntConsumer progress() {
    return listener.evaluating(evaluation.size());
  }

  private static String title(Row row) {
    return row.method()
        + " "
        + row.options().grid().bits()
        + " bits, group size "
        + row.options().groupSize();
  }
}
