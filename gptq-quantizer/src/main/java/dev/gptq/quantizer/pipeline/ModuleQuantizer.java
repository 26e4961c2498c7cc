package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.LaneGroup;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.forward.Block;
import dev.gptq.quantize.Hessian;
import dev.gptq.quantizer.pipeline.ModuleSolve.Solved;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/** Quantizes the linear layers of one block and puts the quantized weights in their place. */
final class ModuleQuantizer {
  private final LaneGroup lanes;
  private final QuantizationSettings settings;
  private final int layer;
  private final Block block;
  private final Function<Backend, GroupSolver> solver;
  private final ImmutableMap.Builder<String, QuantizedModule> modules = ImmutableMap.builder();

  /**
   * For one block.
   *
   * @param solver makes what solves groups of the block on a lane
   */
  ModuleQuantizer(
      LaneGroup lanes,
      QuantizationSettings settings,
      int layer,
      Block block,
      Function<Backend, GroupSolver> solver) {
    this.lanes = lanes;
    this.settings = settings;
    this.layer = layer;
    this.block = block;
    this.solver = solver;
  }

  /** The modules quantized so far, by full name. */
  ImmutableMap<String, QuantizedModule> modules() {
    return modules.buildOrThrow();
  }

  /** Quantizes the selected modules of groups that know nothing of each other, side by side. */
  void quantize(List<CalibratedGroup> groups, JobListener listener) {
    List<Function<Backend, ImmutableList<Solved>>> tasks = new ArrayList<>();
    for (CalibratedGroup calibrated : groups) {
      List<LinearSpec> selected =
          calibrated.group().modules().stream()
              .filter(m -> settings.selection().test(block.spec().nameOf(m)))
              .toList();
      if (!selected.isEmpty()) {
        calibrated.statistics().map(InputStatistics::hessian).ifPresent(Hessian::matrix);
        tasks.add(lane -> solver.apply(lane).solve(selected, calibrated));
        calibrated
            .statistics()
            .map(InputStatistics::hessian)
            .filter(hessian -> hessian.tokens() > 0)
            .ifPresent(hessian -> listener.calibrated(layer, calibrated.group(), hessian));
      }
    }
    lanes.run(tasks, solved -> solved.forEach(module -> keep(module, listener)));
  }

  private void keep(Solved solved, JobListener listener) {
    ModuleReport report = solved.report();
    modules.put(report.name(), new QuantizedModule(solved.packed().join(), report));
    listener.module(report);
  }

  /** Puts a module that was quantized earlier in its place. */
  void restore(QuantizedModule restored) {
    LinearSpec module =
        block
            .spec()
            .linears()
            .filter(m -> block.spec().nameOf(m).equals(restored.report().name()))
            .findFirst()
            .orElseThrow();
    block.substitute(module, restored.packed());
  }
}
