package dev.gptq.quantizer.observe;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.formats.packed.Precision;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.ModuleSolve;
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
      Unit unit, Precision precision, Map<String, ModuleReport> first) {
    GptqOptions changed =
        options
            .withGrid(options.grid().withBits(precision.bits()))
            .withGroupSize(precision.groupSize());
    ImmutableMap.Builder<String, QuantizedModule> modules = ImmutableMap.builder();
    for (Unit.Input input : unit.inputs()) {
      try (TensorScope scope = backend.newScope()) {
        Optional<Hessian> hessian = hessians.find(unit.block(), input.index(), backend, scope);
        Optional<String> rounded = rounded(unit, input, first);
        if (hessian.isEmpty() && rounded.isEmpty()) {
          throw new IllegalStateException(
              "the Hessian of %s is not kept"
                  .formatted(unit.spec().nameOf(input.modules().getFirst())));
        }
        Tensor weights = stacked(unit, input, scope);
        new ModuleSolve(backend, changed)
            .solve(
                input.modules().stream().map(module -> subject(unit, module)).toList(),
                weights,
                new ModuleSolve.Statistics(hessian, ImmutableList.of(), rounded, true),
                Optional.empty(),
                scope)
            .forEach(solved -> {
              ModuleReport report = solved.report();
              double before = first.get(report.name()).seconds();
              modules.put(
                  report.name(),
                  new QuantizedModule(solved.packed().join(), report.plusSeconds(before)));
            });
      }
    }
    return modules.buildOrThrow();
  }

  private static ModuleSolve.Subject subject(Unit unit, LinearSpec module) {
    return new ModuleSolve.Subject(
        unit.block(), module.module(), unit.spec().nameOf(module), module.outputs());
  }

  /** Why the first run rounded modules of the input to nearest without trying GPTQ, if it did. */
  private static Optional<String> rounded(
      Unit unit, Unit.Input input, Map<String, ModuleReport> first) {
    return input.modules().stream()
        .map(module -> first.get(unit.spec().nameOf(module)))
        .filter(report -> report.fellBack() && !report.solved())
        .map(ModuleReport::fallback)
        .findFirst();
  }

  /** The stored weights of the modules, one below the other. */
  private Tensor stacked(Unit unit, Unit.Input input, TensorScope scope) {
    int rows = input.modules().stream().mapToInt(LinearSpec::outputs).sum();
    Tensor stacked = scope.columnMajor(DType.F32, rows, input.modules().getFirst().inputs());
    int from = 0;
    for (LinearSpec module : input.modules()) {
      try (TensorScope local = backend.newScope()) {
        int to = from + module.outputs();
        backend
            .linalg()
            .convert(
                source.stored(unit.spec().nameOf(module), module, local), stacked.rows(from, to));
        from = to;
      }
    }
    return stacked;
  }
}
