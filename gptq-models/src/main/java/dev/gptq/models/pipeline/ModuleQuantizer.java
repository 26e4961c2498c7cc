package dev.gptq.models.pipeline;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.BadInputException;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Linear;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.CalibrationException;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.InputDrift;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;

/** Quantizes the linear layers of one block and puts the quantized weights in their place. */
final class ModuleQuantizer {
  private final Backend backend;
  private final WeightSource source;
  private final QuantizationSettings settings;
  private final int layer;
  private final Block block;
  private final long calibrationTokens;
  private final ImmutableMap.Builder<String, QuantizedModule> modules = ImmutableMap.builder();

  ModuleQuantizer(
      Backend backend,
      WeightSource source,
      QuantizationSettings settings,
      int layer,
      Block block,
      long calibrationTokens) {
    this.backend = backend;
    this.source = source;
    this.settings = settings;
    this.layer = layer;
    this.block = block;
    this.calibrationTokens = calibrationTokens;
  }

  /** The modules quantized so far, by full name. */
  ImmutableMap<String, QuantizedModule> modules() {
    return modules.buildOrThrow();
  }

  /**
   * Quantizes the selected modules of a group that shares an input: as one matrix, since the rows
   * of all of them have the same factor and know nothing of each other.
   */
  void quantize(Step.Linears group, Optional<InputStatistics> statistics, JobListener listener) {
    List<LinearSpec> selected =
        group.modules().stream()
            .filter(m -> settings.selection().test(block.spec().nameOf(m)))
            .toList();
    if (selected.isEmpty()) {
      return;
    }
    try (TensorScope local = backend.newScope()) {
      long start = System.nanoTime();
      Optional<Hessian> hessian = statistics.map(InputStatistics::hessian);
      Optional<InputDrift> drift = statistics.flatMap(InputStatistics::drift);
      Optional<Hessian> seen = hessian.filter(h -> h.tokens() > 0);
      seen.ifPresent(h -> listener.calibrated(layer, group, h));
      boolean asked = settings.method() == QuantizationSettings.Method.GPTQ;
      String fallback = asked ? shortage(hessian.orElseThrow()) : "";
      Optional<HessianFactor> factor =
          asked && fallback.isEmpty()
              ? Optional.of(factor(selected, hessian.orElseThrow(), local))
              : Optional.empty();
      Tensor weights = stacked(selected, local);
      QuantizedMatrix nearest =
          new RoundToNearest(backend, settings.options().grid(), settings.options().groupSize())
              .quantize(weights, local);
      QuantizedMatrix quantized =
          factor.isPresent() ? solve(weights, drift, factor.get(), local) : nearest;
      backend.synchronize();
      double shared = (System.nanoTime() - start) / 1e9 / selected.size();
      Measures measures = new Measures(seen, factor, fallback, shared);
      int from = 0;
      for (LinearSpec module : selected) {
        int to = from + module.outputs();
        listener.module(
            finish(
                module,
                weights.rows(from, to),
                nearest.rows(from, to),
                quantized.rows(from, to),
                measures));
        from = to;
      }
    }
  }

  /** The weights of the modules, one below the other. */
  private Tensor stacked(List<LinearSpec> modules, TensorScope scope) {
    int rows = modules.stream().mapToInt(LinearSpec::outputs).sum();
    Tensor stacked = scope.columnMajor(DType.F32, rows, modules.getFirst().inputs());
    int from = 0;
    for (LinearSpec module : modules) {
      Tensor weight = stacked.rows(from, from + module.outputs());
      float32(module, weight);
      requireFinite(block.spec().nameOf(module), weight);
      from += module.outputs();
    }
    return stacked;
  }

  private String shortage(Hessian hessian) {
    return ExpertTokens.shortage(hessian.tokens(), calibrationTokens, hessian.columns());
  }

  private HessianFactor factor(List<LinearSpec> group, Hessian hessian, TensorScope scope) {
    try {
      return HessianFactor.of(backend, hessian, settings.options(), scope);
    } catch (CalibrationException e) {
      throw new CalibrationException(
          block.spec().nameOf(group.getFirst()) + ": " + e.getMessage(), e);
    }
  }

  /**
   * What the modules of a group have in common.
   *
   * @param hessian of their input, if any token was seen
   * @param factor of the Hessian, if they are quantized with GPTQ
   * @param fallback why they are not
   * @param seconds each one's part of the work done for all
   */
  private record Measures(
      Optional<Hessian> hessian, Optional<HessianFactor> factor, String fallback, double seconds) {}

  /** Packs and measures a module, and lets the rest of the run see its quantized weights. */
  private ModuleReport finish(
      LinearSpec module,
      Tensor weight,
      QuantizedMatrix nearest,
      QuantizedMatrix quantized,
      Measures measures) {
    long start = System.nanoTime();
    GptqOptions options = settings.options();
    String name = block.spec().nameOf(module);
    CompletableFuture<PackedMatrix> packed = quantized.startPacking();
    OutputErrors errors =
        measures
            .hessian()
            .map(h -> OutputErrors.of(backend, weight, nearest, quantized, h))
            .orElse(OutputErrors.NONE);
    quantized.dequantize(backend, weight);
    replace(module, weight);
    ModuleReport report =
        new ModuleReport(
            layer,
            module.module(),
            name,
            module.outputs(),
            module.inputs(),
            options.grid().bits(),
            options.groupSize(),
            !options.grid().scheme().hasZeroPoint(),
            errors.error(),
            errors.relativeError(),
            errors.rtn(),
            errors.relativeRtn(),
            measures.factor().map(HessianFactor::damping).orElse(Double.NaN),
            measures.hessian().map(Hessian::tokens).orElse(0L),
            measures.fallback(),
            measures.seconds() + (System.nanoTime() - start) / 1e9);
    modules.put(name, new QuantizedModule(packed.join(), report));
    return report;
  }

  private QuantizedMatrix solve(
      Tensor weight, Optional<InputDrift> drift, HessianFactor factor, TensorScope scope) {
    Tensor target =
        drift.map(d -> d.target(weight, factor, settings.target().alpha(), scope)).orElse(weight);
    return new Gptq(backend, settings.options()).quantize(target, factor, scope).matrix();
  }

  /** Copies the stored weights; the block's own copy of them where that is exact. */
  private void float32(LinearSpec module, Tensor converted) {
    String name = block.spec().nameOf(module);
    if (source.isExact(name)) {
      backend.linalg().convert(dense(module), converted);
    } else {
      try (TensorScope local = backend.newScope()) {
        backend.linalg().convert(source.stored(name, module, local), converted);
      }
    }
  }

  /** The weights with which the block runs. */
  private Tensor dense(LinearSpec module) {
    return switch (block.linear(module)) {
      case Linear.Dense dense -> dense.weight();
      case Linear.Packed _ ->
          throw new IllegalStateException(block.spec().nameOf(module) + " is quantized already");
    };
  }

  private void requireFinite(String name, Tensor weight) {
    try (TensorScope local = backend.newScope()) {
      Tensor total = local.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      backend.linalg().addNonFiniteCount(weight, total);
      long count = (long) HostCopies.scalar(total);
      if (count > 0) {
        throw new BadInputException(
            source.describe(name + ".weight")
                + " has "
                + count
                + " NaN or infinite weights; the checkpoint is damaged, download it again or"
                + " exclude the module with --exclude");
      }
    }
  }

  /** Lets the rest of the run see the quantized weights. */
  private void replace(LinearSpec module, Tensor values) {
    backend.linalg().convert(values, dense(module));
  }

  /** Puts a module that was quantized earlier in its place. */
  void restore(QuantizedModule restored) {
    PackedMatrix packed = restored.packed();
    LinearSpec module =
        block
            .spec()
            .linears()
            .filter(m -> block.spec().nameOf(m).equals(restored.report().name()))
            .findFirst()
            .orElseThrow();
    int rows = packed.rows();
    float[] values = new float[Math.multiplyExact(rows, packed.columns())];
    IntStream.range(0, packed.columns())
        .parallel()
        .forEach(i -> {
          for (int o = 0; o < rows; o++) {
            values[i * rows + o] = packed.weight(o, i);
          }
        });
    try (TensorScope local = backend.newScope()) {
      replace(
          module,
          local.upload(
              MemorySegment.ofArray(values),
              DType.F32,
              rows,
              packed.columns(),
              Layout.COLUMN_MAJOR));
    }
  }
}
