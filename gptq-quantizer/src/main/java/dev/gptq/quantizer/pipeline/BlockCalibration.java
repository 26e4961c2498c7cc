package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Registers;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Takes the calibration batches through one block and gathers the statistics of every group of
 * linear layers on the way. Sequentially, each step of the block is computed once: the batches stop
 * before a group, the group is quantized, and they go on from there with its quantized weights.
 * Before a group with wide inputs copies may go ahead one by one instead, see {@link Activations}.
 * Groups are passed on in lists, of which the members may be quantized side by side.
 */
final class BlockCalibration {
  private final Backend backend;
  private final Block block;
  private final Optional<Block> original;
  private final Target.Kind target;
  private final List<CalibrationBatch> batches;
  private final Activations activations;
  private final Function<Step.Linears, Optional<GroupCurvature>> curvature;
  private final List<Step> steps;
  private int reached;

  /**
   * A calibration.
   *
   * @param original the block with weights that stay as they are, for targets that need it
   * @param curvature what the loss of the whole model says about groups, if gradients were taken
   */
  BlockCalibration(
      Backend backend,
      Block block,
      Optional<Block> original,
      Target.Kind target,
      List<CalibrationBatch> batches,
      Activations activations,
      Function<Step.Linears, Optional<GroupCurvature>> curvature) {
    this.activations = activations;
    this.curvature = curvature;
    this.backend = backend;
    this.block = block;
    this.original = original;
    this.target = target;
    this.batches = batches;
    this.steps = block.spec().steps();
  }

  /**
   * True-sequential: each group sees the earlier groups of its block quantized. Experts, which do
   * not see each other, go together in waves: first the first groups of all, then the next.
   */
  void sequential(Consumer<List<CalibratedGroup>> quantize) {
    List<Stretch> stretches = Stretch.of(steps);
    for (int first = 0; first < stretches.size(); ) {
      int end = ExpertWave.end(stretches, first, steps, this::rows, tokens());
      sequential(stretches.subList(first, end), quantize);
      first = end;
    }
  }

  private void sequential(List<Stretch> wave, Consumer<List<CalibratedGroup>> quantize) {
    int groups = wave.getFirst().groups(steps).size();
    int[] at = wave.stream().mapToInt(Stretch::from).toArray();
    for (int g = 0; g < groups; g++) {
      try (TensorScope local = backend.newScope()) {
        List<CalibratedGroup> calibrated = new ArrayList<>();
        for (int s = 0; s < at.length; s++) {
          int index = wave.get(s).groups(steps).get(g);
          if (goesAhead(wave.get(s), index)) {
            calibrated.add(ahead(at[s], index, local));
          } else {
            calibrated.add(calibrate(at[s], index, local));
            at[s] = index;
          }
        }
        quantize.accept(calibrated);
      }
    }
    for (int s = 0; s < at.length; s++) {
      for (CalibrationBatch batch : batches) {
        batch.run(block, original, at[s], wave.get(s).to());
      }
      reached = wave.get(s).to();
    }
  }

  /** Whether copies go ahead to a group, since the inputs of all tokens would take much room. */
  private boolean goesAhead(Stretch stretch, int index) {
    int inputs = ((Step.Linears) steps.get(index)).modules().getFirst().inputs();
    return activations == Activations.COMPUTED_AGAIN
        && !stretch.isExpert()
        && batches.stream()
            .anyMatch(batch -> inputs > batch.registers().get(Step.RESIDUAL).columns());
  }

  /** Takes the batches from one step to a group and adds what they bring to it. */
  private CalibratedGroup calibrate(int from, int index, TensorScope scope) {
    return calibrate(
        index,
        scope,
        (batch, reader) -> {
          batch.run(block, original, from, index);
          reader.accept(batch);
        });
  }

  /** The same with a copy of one batch after the other; the batches stay where they are. */
  private CalibratedGroup ahead(int from, int index, TensorScope scope) {
    return calibrate(
        index,
        scope,
        (batch, reader) -> {
          try (TensorScope local = backend.newScope();
              CalibrationBatch copy = batch.copy(local)) {
            copy.run(block, original, from, index);
            reader.accept(copy);
          }
        });
  }

  /**
   * Adds what the batches bring to a group.
   *
   * @param approach takes a batch to the group, and shows what comes there
   */
  private CalibratedGroup calibrate(
      int index,
      TensorScope scope,
      BiConsumer<CalibrationBatch, Consumer<CalibrationBatch>> approach) {
    Step.Linears group = (Step.Linears) steps.get(index);
    if (batches.isEmpty()) {
      return new CalibratedGroup(group, Optional.empty(), Optional.empty());
    }
    InputStatistics statistics = statistics(index, scope);
    int tokens = 0;
    for (CalibrationBatch batch : batches) {
      int first = tokens;
      approach.accept(batch, there -> add(there, group, statistics, first));
      tokens += batch.registers().get(Step.RESIDUAL).rows();
    }
    return new CalibratedGroup(group, Optional.of(statistics), curvature.apply(group));
  }

  /** Adds the tokens of a batch, whose first is {@code first} of all. */
  private void add(
      CalibrationBatch batch, Step.Linears group, InputStatistics statistics, int first) {
    curvature
        .apply(group)
        .ifPresentOrElse(
            known -> statistics.add(backend, batch, group, known, first),
            () -> statistics.add(batch.registers(), batch.full(), group));
  }

  private long rows(Step.Gather gather) {
    return batches.stream().mapToLong(batch -> batch.registers().rows(gather)).sum();
  }

  private long tokens() {
    return batches.stream().mapToLong(b -> b.registers().get(Step.RESIDUAL).rows()).sum();
  }

  /** All groups see the unquantized block; their statistics are held at the same time. */
  void atOnce(Consumer<List<CalibratedGroup>> quantize) {
    try (TensorScope local = backend.newScope()) {
      Map<Step.Linears, InputStatistics> all = new LinkedHashMap<>();
      for (int i = 0; i < steps.size(); i++) {
        if (steps.get(i) instanceof Step.Linears group) {
          all.put(group, statistics(i, local));
        }
      }
      int tokens = 0;
      for (CalibrationBatch batch : batches) {
        try (TensorScope run = backend.newScope();
            Registers registers = residual(batch.registers(), run)) {
          Optional<Registers> full = batch.full().map(f -> residual(f, run));
          CalibrationBatch trial = new CalibrationBatch(registers, full, batch.sequences());
          int from = 0;
          for (int i = 0; i < steps.size(); i++) {
            if (steps.get(i) instanceof Step.Linears group) {
              trial.run(block, original, from, i);
              add(trial, group, all.get(group), tokens);
              from = i;
            }
          }
        }
        tokens += batch.registers().get(Step.RESIDUAL).rows();
      }
      List<CalibratedGroup> experts = new ArrayList<>();
      for (Stretch stretch : Stretch.of(steps)) {
        for (int i : stretch.groups(steps)) {
          Step.Linears group = (Step.Linears) steps.get(i);
          CalibratedGroup calibrated =
              new CalibratedGroup(group, Optional.of(all.get(group)), curvature.apply(group));
          if (stretch.isExpert()) {
            experts.add(calibrated);
          } else {
            quantize.accept(List.of(calibrated));
          }
        }
      }
      quantize.accept(experts);
    }
  }

  /** A copy of the residual stream and what else the block reads of earlier ones. */
  private Registers residual(Registers of, TensorScope scope) {
    Registers copy = new Registers(backend, scope);
    Tensor x = of.get(Step.RESIDUAL);
    copy.define(Step.RESIDUAL, x.rows(), x.columns(), y -> backend.linalg().convert(x, y));
    for (String name : block.spec().needs()) {
      Tensor kept = of.get(name);
      copy.define(name, kept.rows(), kept.columns(), y -> backend.linalg().convert(kept, y));
    }
    return copy;
  }

  /** Takes the batches to the end of the block. */
  void finish() {
    for (CalibrationBatch batch : batches) {
      batch.run(block, original, reached, steps.size());
    }
  }

  private InputStatistics statistics(int index, TensorScope scope) {
    return InputStatistics.of(backend, steps, index, target, scope);
  }
}
