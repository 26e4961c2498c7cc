package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Rehearsal;
import dev.gptq.backend.Work;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.GptqOptions;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * The waves of experts of a block in a rehearsal. One that is like another takes the same memory
 * and the same work, so that it is not rehearsed again: of a hundred experts a few are.
 */
final class RehearsedWaves {

  /** What makes experts alike beside their rows: their steps, and how modules are quantized. */
  private record Expert(long rows, ImmutableList<Class<?>> steps, ImmutableList<Module> modules) {}

  /** A module, with its options if it is quantized. */
  private record Module(int outputs, int inputs, boolean bias, Optional<GptqOptions> options) {}

  private final Rehearsal rehearsal;
  private final BlockSpec block;
  private final QuantizationSettings settings;
  private final Map<List<Expert>, Work> known = new HashMap<>();

  RehearsedWaves(Rehearsal rehearsal, BlockSpec block, QuantizationSettings settings) {
    this.rehearsal = rehearsal;
    this.block = block;
    this.settings = settings;
  }

  /**
   * Rehearses a wave, unless one like it was.
   *
   * @param rows calibration tokens that chose an expert
   */
  void run(List<Stretch> wave, ToLongFunction<Step.Gather> rows, Runnable work) {
    List<Expert> experts = wave.stream().map(expert -> expert(expert, rows)).toList();
    Work before = rehearsal.work();
    Work again = known.get(experts);
    if (again == null) {
      work.run();
      known.put(experts, rehearsal.work().plus(before.times(-1)));
    } else {
      rehearsal.count(again);
    }
  }

  private Expert expert(Stretch stretch, ToLongFunction<Step.Gather> rows) {
    List<Step> steps = block.steps().subList(stretch.from(), stretch.to());
    return new Expert(
        rows.applyAsLong(stretch.gather().orElseThrow()),
        steps.stream().map(Object::getClass).collect(ImmutableList.toImmutableList()),
        steps.stream()
            .filter(Step.Linears.class::isInstance)
            .flatMap(step -> ((Step.Linears) step).modules().stream())
            .map(this::module)
            .collect(ImmutableList.toImmutableList()));
  }

  private Module module(LinearSpec linear) {
    String name = block.nameOf(linear);
    return new Module(
        linear.outputs(),
        linear.inputs(),
        linear.bias(),
        settings.selection().test(name) ? Optional.of(settings.optionsOf(name)) : Optional.empty());
  }
}
