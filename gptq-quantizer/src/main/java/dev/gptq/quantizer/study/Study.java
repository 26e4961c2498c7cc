package dev.gptq.quantizer.study;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.io.MoreFiles;
import dev.gptq.backend.Backend;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.evaluation.Loading;
import dev.gptq.models.evaluation.Perplexity;
import dev.gptq.models.forward.TextModel;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.observe.HessianFolder;
import dev.gptq.quantizer.observe.HessianKeeper;
import dev.gptq.quantizer.observe.Observer;
import dev.gptq.quantizer.observe.Requantizer;
import dev.gptq.quantizer.pipeline.MemoryStore;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationJob;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * The study of zero points: a model quantized with each scheme, in memory, each then observed, and
 * all of them measured.
 */
public final class Study {

  /**
   * One of its runs.
   *
   * @param scheme the grid
   * @param observed whether modules were quantized again afterwards
   * @param reports the modules
   * @param perplexity of the result
   * @param seconds of quantizing, without measuring
   */
  public record Run(
      Scheme scheme,
      boolean observed,
      ImmutableList<ModuleReport> reports,
      double perplexity,
      double seconds) {

    /** The name in tables and of files. */
    public String name() {
      return scheme.id() + (observed ? "-observed" : "");
    }

    public double largestError() {
      return reports.stream().mapToDouble(ModuleReport::error).max().orElse(Double.NaN);
    }

    public double totalError() {
      return reports.stream().mapToDouble(ModuleReport::error).sum();
    }

    /** The mean over the modules. */
    public double relativeError() {
      return reports.stream().mapToDouble(ModuleReport::relativeError).average().orElse(Double.NaN);
    }

    /** Of the tensors of a GPTQ checkpoint, which has room for zero points in any case. */
    public double bitsPerWeight() {
      long bytes = 0;
      long weights = 0;
      for (ModuleReport report : reports) {
        bytes += report.precision().bytes(report.rows(), report.columns());
        weights += (long) report.rows() * report.columns();
      }
      return 8.0 * bytes / weights;
    }
  }

  private final Model model;
  private final Backend backend;
  private final GptqOptions options;
  private final int observed;
  private final ImmutableList<int[]> calibration;
  private final ImmutableList<int[]> evaluation;
  private final MeasuringListener listener;

  /**
   * A study.
   *
   * @param options of all runs; only the scheme differs
   * @param observed modules to observe
   */
  public Study(
      Model model,
      Backend backend,
      GptqOptions options,
      int observed,
      ImmutableList<int[]> calibration,
      ImmutableList<int[]> evaluation,
      MeasuringListener listener) {
    this.model = model;
    this.backend = backend;
    this.options = options;
    this.observed = observed;
    this.calibration = calibration;
    this.evaluation = evaluation;
    this.listener = listener;
  }

  /** The perplexity of the model as it is. */
  public double fullPrecision() {
    return perplexity(ImmutableMap.of());
  }

  /** Two runs for each scheme. */
  public List<Run> run() throws IOException {
    List<Run> runs = new ArrayList<>();
    for (Scheme scheme : Scheme.values()) {
      Path folder = Files.createTempDirectory("gptq-study");
      try {
        runs.addAll(run(scheme, new HessianFolder(folder)));
      } finally {
        MoreFiles.deleteRecursively(folder);
      }
    }
    return runs;
  }

  private List<Run> run(Scheme scheme, HessianFolder hessians) {
    GridSpec grid = options.grid();
    GptqOptions own =
        options.withGrid(new GridSpec(scheme, grid.bits(), grid.search(), grid.scaleType()));
    MemoryStore store = new MemoryStore();
    long start = System.nanoTime();
    new QuantizationJob(
            backend,
            model.spec(),
            model.weights(backend),
            QuantizationSettings.of(Method.GPTQ, own),
            calibration,
            store,
            new HessianKeeper(
                model.spec(),
                hessians,
                OptionalInt.of(observed),
                store,
                listener.quantizing(scheme.id())))
        .run();
    double quantizing = (System.nanoTime() - start) / 1e9;
    Run plain = measured(scheme, false, store, quantizing);
    long again = System.nanoTime();
    new Observer(
            model.spec(),
            name -> true,
            new Requantizer(backend, model.weights(backend), own, hessians),
            store,
            (index, count, module) -> listener.observing(scheme.id(), index, count, module))
        .improveWorst(observed);
    double observing = (System.nanoTime() - again) / 1e9;
    return List.of(plain, measured(scheme, true, store, quantizing + observing));
  }

  private Run measured(Scheme scheme, boolean isObserved, MemoryStore store, double seconds) {
    Run run =
        new Run(
            scheme,
            isObserved,
            ImmutableList.copyOf(store.reports()),
            perplexity(store.packed()),
            seconds);
    listener.measured(run.name(), run.perplexity());
    return run;
  }

  private double perplexity(ImmutableMap<String, PackedMatrix> packed) {
    try (TextModel loaded = Loading.WHOLE.load(backend, model, packed)) {
      return Perplexity.of(loaded, evaluation, listener.evaluating(evaluation.size())).perplexity();
    }
  }
}
