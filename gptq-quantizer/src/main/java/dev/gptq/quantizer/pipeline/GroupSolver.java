package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.Block;
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
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * Quantizes modules that share an input as one matrix, since the rows of all of them have the same
 * factor and know nothing of each other, and puts the quantized weights in their place in the
 * block.
 */
final class GroupSolver {
  private final Backend backend;
  private final WeightSource source;
  private final QuantizationSettings settings;
  private final int layer;
  private final Block block;
  private final long calibrationTokens;

  /**
   * For one block.
   *
   * @param backend does the work: the block's own, or a lane of it
   */
  GroupSolver(
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

  /**
   * A module that has been quantized.
   *
   * @param packed its weights, perhaps still being packed
   */
  record Solved(CompletableFuture<PackedMatrix> packed, ModuleReport report) {}

  /** Quantizes the modules, in order; they share the input that the statistics are of. */
  ImmutableList<Solved> solve(List<LinearSpec> modules, Optional<InputStatistics> statistics) {
    try (TensorScope local = backend.newScope()) {
      long start = System.nanoTime();
      Optional<Hessian> hessian = statistics.map(s -> s.hessian().on(backend));
      Optional<InputDrift> drift = statistics.flatMap(InputStatistics::drift);
      boolean asked = settings.method() == QuantizationSettings.Method.GPTQ;
      String fallback = asked ? shortage(hessian.orElseThrow()) : "";
      Optional<HessianFactor> factor =
          asked && fallback.isEmpty()
              ? Optional.of(factor(modules, hessian.orElseThrow(), local))
              : Optional.empty();
      Tensor weights = stacked(modules, local);
      QuantizedMatrix nearest =
          new RoundToNearest(backend, settings.options().grid(), settings.options().groupSize())
              .quantize(weights, local);
      QuantizedMatrix quantized =
          factor.isPresent() ? solve(weights, drift, factor.get(), local) : nearest;
      backend.synchronize();
      double shared = (System.nanoTime() - start) / 1e9 / modules.size();
      Measures measures =
          new Measures(hessian.filter(h -> h.tokens() > 0), factor, fallback, shared);
      ImmutableList.Builder<Solved> solved = ImmutableList.builder();
      int from = 0;
      for (LinearSpec module : modules) {
        int to = from + module.outputs();
        solved.add(
            finish(
                module,
                weights.rows(from, to),
                nearest.rows(from, to),
                quantized.rows(from, to),
                measures));
        from = to;
      }
      return solved.build();
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
      from += module.outputs();
    }
    requireFinite(modules, stacked);
    return stacked;
  }

  /** Throws if a weight is not finite; one look at all modules is enough if they are sound. */
  private void requireFinite(List<LinearSpec> modules, Tensor stacked) {
    if (nonFinite(stacked) == 0) {
      return;
    }
    int from = 0;
    for (LinearSpec module : modules) {
      long count = nonFinite(stacked.rows(from, from + module.outputs()));
      if (count > 0) {
        throw new BadInputException(
            source.describe(block.spec().nameOf(module) + ".weight")
                + " has "
                + count
                + " NaN or infinite weights; the checkpoint is damaged, download it again or"
                + " exclude the module with --exclude");
      }
      from += module.outputs();
    }
  }

  private long nonFinite(Tensor weight) {
    try (TensorScope local = backend.newScope()) {
      Tensor total = local.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      backend.linalg().addNonFiniteCount(weight, total);
      return (long) HostCopies.scalar(total);
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
  private Solved finish(
      LinearSpec module,
      Tensor weight,
      QuantizedMatrix nearest,
      QuantizedMatrix quantized,
      Measures measures) {
    long start = System.nanoTime();
    GptqOptions options = settings.options();
    CompletableFuture<PackedMatrix> packed = quantized.startPacking();
    OutputErrors errors =
        measures
            .hessian()
            .map(h -> OutputErrors.of(backend, weight, nearest, quantized, h))
            .orElse(OutputErrors.NONE);
    quantized.dequantize(backend, weight);
    backend.linalg().convert(weight, block.dense(module));
    ModuleReport report =
        new ModuleReport(
            layer,
            module.module(),
            block.spec().nameOf(module),
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
    return new Solved(packed, report);
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
      backend.linalg().convert(block.dense(module), converted);
    } else {
      try (TensorScope local = backend.newScope()) {
        backend.linalg().convert(source.stored(name, module, local), converted);
      }
    }
  }
}
