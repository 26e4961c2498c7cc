package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantize.InputDrift;
import dev.gptq.quantizer.pipeline.ModuleSolve.Solved;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

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
  private final ModuleSolve.Packing packing;

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
      long calibrationTokens,
      ModuleSolve.Packing packing) {
    this.backend = backend;
    this.source = source;
    this.settings = settings;
    this.layer = layer;
    this.block = block;
    this.calibrationTokens = calibrationTokens;
    this.packing = packing;
  }

  /** Quantizes the modules; they share the input that the statistics are of. */
  ImmutableList<Solved> solve(List<LinearSpec> modules, CalibratedGroup calibrated) {
    if (settings.importance().isPresent()) {
      return modules.stream()
          .flatMap(module -> {
            String name = block.spec().nameOf(module);
            long tokens = settings.importance().get().tokens(name);
            return solve(List.of(module), settings.optionsOf(name), calibrated, true).stream()
                .map(solved ->
                    new Solved(
                        solved.quantized(), solved.packed(), solved.report().withTokens(tokens)));
          })
          .collect(ImmutableList.toImmutableList());
    }
    Map<GptqOptions, List<LinearSpec>> alike =
        modules.stream()
            .collect(
                Collectors.groupingBy(
                    module -> settings.optionsOf(block.spec().nameOf(module)),
                    LinkedHashMap::new,
                    Collectors.toList()));
    ImmutableList.Builder<Solved> solved = ImmutableList.builder();
    int left = alike.size();
    for (Map.Entry<GptqOptions, List<LinearSpec>> some : alike.entrySet()) {
      left--;
      solved.addAll(solve(some.getValue(), some.getKey(), calibrated, left == 0));
    }
    return solved.build();
  }

  /**
   * Quantizes modules that have the same settings.
   *
   * @param last whether nobody reads the Hessian afterwards
   */
  private ImmutableList<Solved> solve(
      List<LinearSpec> modules, GptqOptions options, CalibratedGroup calibrated, boolean last) {
    Optional<InputStatistics> statistics = calibrated.statistics();
    try (TensorScope local = backend.newScope()) {
      Optional<Hessian> hessian =
          settings.importance().isPresent()
              ? known(modules.getFirst(), local)
              : statistics.map(s -> s.hessian().on(backend));
      Optional<InputDrift> drift = statistics.flatMap(InputStatistics::drift);
      Tensor weights = stacked(modules, local);
      ImmutableList<Solved> solved =
          new ModuleSolve(backend, options, packing)
              .solve(
                  modules.stream().map(this::subject).toList(),
                  weights,
                  new ModuleSolve.Statistics(
                      hessian.filter(h -> h.tokens() > 0),
                      calibrated
                          .curvature()
                          .map(c -> c.factors(backend, calibrated.group(), modules, local))
                          .orElse(ImmutableList.of()),
                      rounded(hessian),
                      last),
                  drift.map(
                      d -> factor -> d.target(weights, factor, settings.target().alpha(), local)),
                  local);
      int from = 0;
      for (int i = 0; i < modules.size(); i++) {
        int to = from + modules.get(i).outputs();
        Tensor weight = weights.rows(from, to);
        solved.get(i).quantized().dequantize(backend, weight);
        backend.linalg().convert(weight, block.dense(modules.get(i)));
        from = to;
      }
      return solved;
    }
  }

  private ModuleSolve.Subject subject(LinearSpec module) {
    return new ModuleSolve.Subject(
        layer, module.module(), block.spec().nameOf(module), module.outputs());
  }

  private Optional<Hessian> known(LinearSpec module, TensorScope scope) {
    return settings.importance().orElseThrow().hessian(block.spec().nameOf(module), backend, scope);
  }

  /** Why modules are only rounded to nearest, if they are. */
  private Optional<String> rounded(Optional<Hessian> hessian) {
    if (settings.method() == QuantizationSettings.Method.RTN) {
      return Optional.of("");
    }
    if (settings.importance().isPresent()) {
      return hessian.isEmpty()
          ? Optional.of("the importance matrix has seen no token of it")
          : Optional.empty();
    }
    if (backend instanceof Rehearsal) {
      // Another text may have tokens enough for any expert.
      return Optional.empty();
    }
    Hessian seen = hessian.orElseThrow();
    String shortage = ExpertTokens.shortage(seen.tokens(), calibrationTokens, seen.columns());
    return Optional.of(shortage).filter(why -> !why.isEmpty());
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
