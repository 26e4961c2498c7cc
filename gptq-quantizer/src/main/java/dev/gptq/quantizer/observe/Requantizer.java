package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.OutputErrors;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Map;
import java.util.Optional;

/**
 * Quantizes the modules of a unit once more, always from the weights of the full-precision
 * checkpoint and with the Hessian of their first calibration. Errors are measured against those
 * weights and without damping, as in the first run, so that the two can be compared.
 */
public final class Requantizer {
  private final Backend backend;
  private final WeightSource source;
  private final GptqOptions options;
  private final HessianFolder hessians;

  /**
   * For all units of a model.
   *
   * @param source the full-precision weights
   * @param options of the first run; bits and group size are replaced
   * @param hessians of the first run
   */
  public Requantizer(
      Backend backend, WeightSource source, GptqOptions options, HessianFolder hessians) {
    this.backend = backend;
    this.source = source;
    this.options = options;
    this.hessians = hessians;
  }

  /**
   * The modules of a unit with another setting.
   *
   * @param first reports of the first run by module name
   */
  ImmutableMap<String, QuantizedModule> quantize(
      Unit unit, Setting setting, Map<String, ModuleReport> first) {
    GptqOptions changed =
        options
            .withGrid(options.grid().withBits(setting.bits()))
            .withGroupSize(setting.groupSize());
    ImmutableMap.Builder<String, QuantizedModule> modules = ImmutableMap.builder();
    for (Unit.Input input : unit.inputs()) {
      try (TensorScope scope = backend.newScope()) {
        Optional<Hessian> hessian = hessians.find(unit.block(), input.index(), backend, scope);
        boolean rounded = isRounded(unit, input, first);
        if (hessian.isEmpty() && !rounded) {
          throw new IllegalStateException(
              "the Hessian of %s is not kept"
                  .formatted(unit.spec().nameOf(input.modules().getFirst())));
        }
        Optional<HessianFactor> factor =
            rounded
                ? Optional.empty()
                : Optional.of(HessianFactor.of(backend, hessian.get(), changed, scope));
        for (LinearSpec module : input.modules()) {
          String name = unit.spec().nameOf(module);
          modules.put(name, quantize(module, first.get(name), changed, hessian, factor));
        }
      }
    }
    return modules.buildOrThrow();
  }

  /** Whether the first run rounded modules of the input to nearest, and said so. */
  private static boolean isRounded(Unit unit, Unit.Input input, Map<String, ModuleReport> first) {
    return input.modules().stream()
        .anyMatch(m -> !first.get(unit.spec().nameOf(m)).fallback().isEmpty());
  }

  private QuantizedModule quantize(
      LinearSpec module,
      ModuleReport first,
      GptqOptions changed,
      Optional<Hessian> hessian,
      Optional<HessianFactor> factor) {
    long start = System.nanoTime();
    try (TensorScope scope = backend.newScope()) {
      Tensor weight = scope.columnMajor(DType.F32, module.outputs(), module.inputs());
      backend.linalg().convert(source.stored(first.name(), module, scope), weight);
      QuantizedMatrix nearest =
          new RoundToNearest(backend, changed.grid(), changed.groupSize()).quantize(weight, scope);
      QuantizedMatrix quantized =
          factor.isPresent()
              ? new Gptq(backend, changed).quantize(weight, factor.get(), scope).matrix()
              : nearest;
      OutputErrors errors =
          hessian
              .map(h -> OutputErrors.of(backend, weight, nearest, quantized, h))
              .orElse(OutputErrors.NONE);
      ModuleReport report =
          new ModuleReport(
              first.layer(),
              first.module(),
              first.name(),
              first.rows(),
              first.columns(),
              changed.grid().bits(),
              changed.groupSize(),
              first.sym(),
              errors.error(),
              errors.relativeError(),
              errors.rtn(),
              errors.relativeRtn(),
              factor.map(HessianFactor::damping).orElse(Double.NaN),
              first.tokens(),
              first.fallback(),
              first.seconds() + (System.nanoTime() - start) / 1e9);
      return new QuantizedModule(quantized.pack(), report);
    }
  }
}
