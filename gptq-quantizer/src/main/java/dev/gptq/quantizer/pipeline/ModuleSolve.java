package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Lists;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantize.CalibrationException;
import dev.gptq.quantize.ColumnOrder;
import dev.gptq.quantize.Gptq;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.HessianFactor;
import dev.gptq.quantize.QuantizedMatrix;
import dev.gptq.quantize.RoundToNearest;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * What makes packed weights and a report of weights, the statistics of their input, and options:
 * the first time in a block, and again when modules are observed. Modules that share an input are
 * solved as one matrix, since the rows of all of them have the same factor and know nothing of each
 * other.
 */
public final class ModuleSolve {
  /** How quantized matrices, which were waited for, come to the host and are packed. */
  @FunctionalInterface
  interface Packing {
    /** On this thread, which waits until they have come. */
    Packing HERE = QuantizedMatrix::startPacking;

    /** Begins to pack; the matrices may be given back when this returns. */
    List<CompletableFuture<PackedMatrix>> start(List<QuantizedMatrix> matrices);
  }

  private final Backend backend;
  private final GptqOptions options;
  private final Packing packing;

  /** Solves on a backend or a lane of it. */
  public ModuleSolve(Backend backend, GptqOptions options) {
    this(backend, options, Packing.HERE);
  }

  /** The same with results that are packed elsewhere. */
  ModuleSolve(Backend backend, GptqOptions options, Packing packing) {
    this.backend = backend;
    this.options = options;
    this.packing = packing;
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
   * @param rows how their outputs are coupled, one below the other; none if they are not
   * @param rounded why they are only rounded to nearest, empty if that was asked for; absent if
   *     they are quantized with GPTQ, which needs the Hessian
   * @param last whether nobody reads the Hessian afterwards
   */
  public record Statistics(
      Optional<Hessian> hessian,
      ImmutableList<HessianFactor> rows,
      Optional<String> rounded,
      boolean last) {}

  /**
   * Solves modules, in order. A module for which rounding to nearest comes closer to what GPTQ
   * minimises ({@link SolveLoss}) is rounded to nearest, unless rows are coupled: what is minimised
   * then is not a sum over modules.
   *
   * @param weights W of all modules, one below the other, F32
   * @param target what GPTQ is to come close to, if not W itself; errors are those beside W. If it
   *     is W, rows are not coupled and nobody reads the Hessian afterwards, its memory becomes that
   *     of its factor
   */
  public ImmutableList<Solved> solve(
      List<Subject> modules,
      Tensor weights,
      Statistics statistics,
      Optional<Function<HessianFactor, Tensor>> target,
      TensorScope scope) {
    long start = System.nanoTime();
    if (statistics.rounded().isEmpty()) {
      // What follows is then being computed while columns are put in order.
      statistics.hessian().orElseThrow().awaitDiagonal();
    }
    QuantizedMatrix nearest =
        options
            .blocks()
            .map(type -> RoundToNearest.onBlocks(backend, type, weights, scope))
            .orElseGet(() ->
                new RoundToNearest(backend, options.grid(), options.groupSize())
                    .quantize(weights, scope));
    Optional<Supplier<ImmutableList<OutputErrors>>> ofNearest =
        statistics
            .hessian()
            .map(h ->
                OutputErrors.ofNearest(
                    backend, weights, nearest, Lists.transform(modules, Subject::rows), h, scope));
    Optional<Attempt> attempt =
        statistics.rounded().isPresent()
            ? Optional.empty()
            : Optional.of(attempt(modules, weights, statistics, target, scope));
    boolean told = attempt.isPresent() && toldByLoop(statistics, target);
    Optional<SolveLoss.Begun> losses =
        attempt
            .filter(a -> statistics.rows().isEmpty())
            .map(a -> losses(a, modules, nearest, statistics, target.isEmpty(), scope));
    List<Integer> rows = Lists.transform(modules, Subject::rows);
    // All that is told of the modules was queued; now it is waited for.
    Optional<ImmutableList<OutputErrors>> errorsOfNearest = ofNearest.map(Supplier::get);
    // The loop knows the error beside what it was to come close to.
    double[] ofLoop = told ? attempt.orElseThrow().result().errors(rows) : new double[0];
    double[] sums = losses.map(SolveLoss.Begun::await).orElse(new double[0]);
    List<Choice> choices = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < modules.size(); i++) {
      Subject module = modules.get(i);
      int to = from + module.rows();
      QuantizedMatrix rounded = nearest.rows(from, to);
      QuantizedMatrix own =
          attempt.isPresent() ? attempt.get().result().matrix().rows(from, to) : rounded;
      OutputErrors errors =
          errorsOfNearest.isPresent() ? errorsOfNearest.get().get(i) : OutputErrors.NONE;
      if (attempt.isPresent()) {
        Hessian hessian = statistics.hessian().orElseThrow();
        double error =
            told ? ofLoop[i] : OutputErrors.error(backend, weights.rows(from, to), own, hessian);
        errors = errors.withError(error, hessian.tokens());
      }
      SolveLoss loss = losses.isEmpty() ? SolveLoss.NONE : losses.get().loss(i, sums, errors);
      choices.add(new Choice(module, own, rounded, errors, loss));
      from = to;
    }
    backend.synchronize();
    double seconds = (System.nanoTime() - start) / 1e9 / modules.size();
    double damp = attempt.map(a -> a.factor().damping()).orElse(Double.NaN);
    List<Choice> chosen = better(choices);
    List<CompletableFuture<PackedMatrix>> packed =
        packing.start(chosen.stream().map(this::toPack).toList());
    return IntStream.range(0, chosen.size())
        .mapToObj(i ->
            new Solved(
                chosen.get(i).quantized(),
                packed.get(i),
                report(chosen.get(i), weights.columns(), statistics, damp, seconds)))
        .collect(ImmutableList.toImmutableList());
  }

  /** Nobody reads what a rehearsal packs: one row will do. */
  private QuantizedMatrix toPack(Choice choice) {
    return backend instanceof Rehearsal ? choice.quantized().rows(0, 1) : choice.quantized();
  }

  /** Begins to compute the losses of all modules. */
  private SolveLoss.Begun losses(
      Attempt attempt,
      List<Subject> modules,
      QuantizedMatrix nearest,
      Statistics statistics,
      boolean targetIsWeights,
      TensorScope scope) {
    SolveLoss.Measure measure =
        new SolveLoss.Measure(
            backend, statistics.hessian().orElseThrow(), attempt.factor(), targetIsWeights);
    SolveLoss.Begun losses = SolveLoss.Begun.of(measure, modules.size(), scope);
    int from = 0;
    for (int i = 0; i < modules.size(); i++) {
      int to = from + modules.get(i).rows();
      losses.add(
          i,
          attempt.target().rows(from, to),
          attempt.result().matrix().rows(from, to),
          nearest.rows(from, to));
      from = to;
    }
    return losses;
  }

  /** What GPTQ made of the modules, what it tried to come close to, and its factor. */
  private record Attempt(HessianFactor factor, Tensor target, Gptq.Result result) {}

  private Attempt attempt(
      List<Subject> modules,
      Tensor weights,
      Statistics statistics,
      Optional<Function<HessianFactor, Tensor>> target,
      TensorScope scope) {
    HessianFactor factor =
        factor(
            modules,
            statistics.hessian().orElseThrow(),
            statistics.last() && toldByLoop(statistics, target),
            scope);
    Tensor aim = target.map(t -> t.apply(factor)).orElse(weights);
    Gptq gptq = new Gptq(backend, options);
    return new Attempt(factor, aim, gptq.quantize(aim, factor, statistics.rows(), scope));
  }

  /** Whether W itself is what GPTQ comes close to, so that its loss has the error beside W. */
  private static boolean toldByLoop(
      Statistics statistics, Optional<Function<HessianFactor, Tensor>> target) {
    return target.isEmpty() && statistics.rows().isEmpty();
  }

  private HessianFactor factor(
      List<Subject> modules, Hessian hessian, boolean replacing, TensorScope scope) {
    try {
      GptqOptions damped = Damping.of(options, hessian.tokens(), hessian.columns());
      return replacing
          ? HessianFactor.replacing(backend, hessian, damped, scope)
          : HessianFactor.of(backend, hessian, damped, scope);
    } catch (CalibrationException e) {
      throw new CalibrationException(modules.getFirst().name() + ": " + e.getMessage(), e);
    }
  }

  /**
   * A module with what was made of it.
   *
   * @param nearest the other choice
   * @param fallback why it is rounded to nearest after GPTQ was tried; empty if it is not
   */
  private record Choice(
      Subject module,
      QuantizedMatrix quantized,
      QuantizedMatrix nearest,
      OutputErrors errors,
      SolveLoss loss,
      String fallback) {

    Choice(
        Subject module,
        QuantizedMatrix quantized,
        QuantizedMatrix nearest,
        OutputErrors errors,
        SolveLoss loss) {
      this(module, quantized, nearest, errors, loss, "");
    }

    Choice rounded(SolveLoss compared) {
      return new Choice(
          module,
          nearest,
          nearest,
          new OutputErrors(errors.rtn(), errors.rtn(), errors.signal()),
          loss,
          compared.whyRounded());
    }
  }

  /**
   * The better of the two choices of each module. Where the groups of GPTQ are not runs of columns,
   * all modules choose the same: loaders that fuse them read one {@code g_idx}.
   */
  private List<Choice> better(List<Choice> choices) {
    if (options.order() == ColumnOrder.ACTIVATION && !options.staticGroups()) {
      SolveLoss sum = choices.stream().map(Choice::loss).reduce(SolveLoss::plus).orElseThrow();
      return sum.favoursRounding()
          ? choices.stream().map(choice -> choice.rounded(sum)).toList()
          : choices;
    }
    return choices.stream()
        .map(choice -> choice.loss().favoursRounding() ? choice.rounded(choice.loss()) : choice)
        .toList();
  }

  private ModuleReport report(
      Choice choice, int columns, Statistics statistics, double damp, double seconds) {
    Subject module = choice.module();
    OutputErrors errors = choice.errors();
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
        damp,
        statistics.hessian().map(Hessian::tokens).orElse(0L),
        statistics.rounded().orElse(choice.fallback()),
        seconds);
  }
}
