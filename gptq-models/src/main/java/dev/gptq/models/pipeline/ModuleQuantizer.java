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

  /** Quantizes the selected modules of a group that shares an input, with one factor for all. */
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
      backend.synchronize();
      double shared = (System.nanoTime() - start) / 1e9 / selected.size();
      for (LinearSpec module : selected) {
        ModuleReport report = quantize(module, seen, drift, factor, fallback, shared);
        listener.module(report);
      }
    }
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

  private ModuleReport quantize(
      LinearSpec module,
      Optional<Hessian> hessian,
      Optional<InputDrift> drift,
      Optional<HessianFactor> factor,
      String fallback,
      double shared) {
    long start = System.nanoTime();
    GptqOptions options = settings.options();
    String name = block.spec().nameOf(module);
    try (TensorScope local = backend.newScope()) {
      Tensor weight = float32(module, local);
      requireFinite(name, weight);
      QuantizedMatrix nearest =
          new RoundToNearest(backend, options.grid(), options.groupSize()).quantize(weight, local);
      QuantizedMatrix quantized =
          factor.isPresent() ? solve(weight, drift, factor.get(), local) : nearest;
      PackedMatrix packed = quantized.pack();
      Errors errors = Errors.none();
      if (hessian.isPresent()) {
        Hessian h = hessian.get();
        double rtn = error(weight, nearest, h, local);
        errors =
            new Errors(
                factor.isPresent() ? error(weight, quantized, h, local) : rtn,
                rtn,
                h.meanSquaredOutput(weight));
      }
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
              errors.error() / errors.signal(),
              errors.rtn(),
              errors.rtn() / errors.signal(),
              factor.map(HessianFactor::damping).orElse(Double.NaN),
              hessian.map(Hessian::tokens).orElse(0L),
              fallback,
              shared + (System.nanoTime() - start) / 1e9);
      modules.put(name, new QuantizedModule(packed, report));
      return report;
    }
  }

  private QuantizedMatrix solve(
      Tensor weight, Optional<InputDrift> drift, HessianFactor factor, TensorScope scope) {
    Tensor target =
        drift.map(d -> d.target(weight, factor, settings.target().alpha(), scope)).orElse(weight);
    return new Gptq(backend, settings.options()).quantize(target, factor, scope).matrix();
  }

  /** Mean squared outputs: of the error, of the error of rounding to nearest, of the weights. */
  private record Errors(double error, double rtn, double signal) {
    static Errors none() {
      return new Errors(Double.NaN, Double.NaN, Double.NaN);
    }
  }

  private double error(
      Tensor weight, QuantizedMatrix quantized, Hessian hessian, TensorScope scope) {
    try (TensorScope local = scope.child()) {
      Tensor difference = local.columnMajor(DType.F32, weight.rows(), weight.columns());
      quantized.dequantize(backend, difference);
      backend.linalg().axpy(-1, weight, difference);
      return hessian.meanSquaredOutput(difference);
    }
  }

  /** The stored weights; the block's own copy of them where that is exact. */
  private Tensor float32(LinearSpec module, TensorScope scope) {
    String name = block.spec().nameOf(module);
    Tensor converted = scope.columnMajor(DType.F32, module.outputs(), module.inputs());
    if (source.isExact(name)) {
      backend.linalg().convert(dense(module), converted);
    } else {
      try (TensorScope local = backend.newScope()) {
        backend.linalg().convert(source.stored(name, module, local), converted);
      }
    }
    return converted;
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
