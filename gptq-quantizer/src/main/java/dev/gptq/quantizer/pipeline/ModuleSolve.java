package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.CalibrationException;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;

/**
 * What makes packed weights and a report of weights, the statistics of their input, and options:
 * the first time in a block, and again when modules are observed. Modules that share an input are
 * solved as one matrix, since the rows of all of them have the same factor and know nothing of each
 * other.
 */
public final class ModuleSolve {
  private final Backend backend;
  private final GptqOptions options;

  /** Solves on a backend or a lane of it. */
  public ModuleSolve(Backend backend, GptqOptions options) {
    this.backend = backend;
    this.options = options;
  }

  /**
   * A module that is to be solved.
   *
   * @param layer index of the block
   * @param module name below the block
   * @param name full name
   * @param rows output features
   */
  public record Subject(int layer, String module, String name, int rows) {}

  /**
   * A module that has been solved.
   *
   * @param quantized valid as long as the scope it was solved in
   * @param packed its weights, perhaps still being packed
   */
  public record Solved(
      QuantizedMatrix quantized, CompletableFuture<PackedMatrix> packed, ModuleReport report) {}

  /**
   * What modules that share an input have in common.
   *
   * @param hessian of that input, if any token was seen
   * @param rounded why they are only rounded to nearest, empty if that was asked for; absent if
   *     they are quantized with GPTQ, which needs the Hessian
   */
  public record Statistics(Optional<Hessian> hessian, Optional<String> rounded) {}

  /**
   * Solves modules, in order.
   *
   * @param weights W of all modules, one below the other, F32
   * @param target what GPTQ is to come close to; errors are those beside W
   */
  public ImmutableList<Solved> solve(
      List<Subject> modules,
      Tensor weights,
      Statistics statistics,
      Function<HessianFactor, Tensor> target,
      TensorScope scope) {
    long start = System.nanoTime();
    Optional<HessianFactor> factor =
        statistics.rounded().isPresent()
            ? Optional.empty()
            : Optional.of(factor(modules, statistics.hessian().orElseThrow(), scope));
    QuantizedMatrix nearest =
        new RoundToNearest(backend, options.grid(), options.groupSize()).quantize(weights, scope);
    QuantizedMatrix quantized =
        factor
            .map(f -> new Gptq(backend, options).quantize(target.apply(f), f, scope).matrix())
            .orElse(nearest);
    backend.synchronize();
    double shared = (System.nanoTime() - start) / 1e9 / modules.size();
    ImmutableList.Builder<Solved> solved = ImmutableList.builder();
    int from = 0;
    for (Subject module : modules) {
      int to = from + module.rows();
      long begin = System.nanoTime();
      QuantizedMatrix own = quantized.rows(from, to);
      CompletableFuture<PackedMatrix> packed = own.startPacking();
      Tensor weight = weights.rows(from, to);
      QuantizedMatrix rounded = nearest.rows(from, to);
      OutputErrors errors =
          statistics
              .hessian()
              .map(h -> OutputErrors.of(backend, weight, rounded, own, h))
              .orElse(OutputErrors.NONE);
      double seconds = shared + (System.nanoTime() - begin) / 1e9;
      solved.add(
          new Solved(
              own, packed, report(module, weights.columns(), statistics, factor, errors, seconds)));
      from = to;
    }
    return solved.build();
  }

  private HessianFactor factor(List<Subject> modules, Hessian hessian, TensorScope scope) {
    try {
      GptqOptions damped = Damping.of(options, hessian.tokens(), hessian.columns());
      return HessianFactor.of(backend, hessian, damped, scope);
    } catch (CalibrationException e) {
      throw new CalibrationException(modules.getFirst().name() + ": " + e.getMessage(), e);
    }
  }

  private ModuleReport report(
      Subject module,
      int columns,
      Statistics statistics,
      Optional<HessianFactor> factor,
      OutputErrors errors,
      double seconds) {
    return new ModuleReport(
        module.layer(),
        module.module(),
        module.name(),
        module.rows(),
        columns,
        options.grid().bits(),
        options.groupSize(),
        !options.grid().scheme().hasZeroPoint(),
        errors.error(),
        errors.relativeError(),
        errors.rtn(),
        errors.relativeRtn(),
        factor.map(HessianFactor::damping).orElse(Double.NaN),
        statistics.hessian().map(Hessian::tokens).orElse(0L),
        statistics.rounded().orElse(""),
        seconds);
  }
}
