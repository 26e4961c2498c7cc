package dev.gptq.models.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Registers;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * Takes the calibration batches through one block and gathers the statistics of every group of
 * linear layers on the way. Sequentially, each step of the block is computed once: the batches stop
 * before a group, the group is quantized, and they go on from there with its quantized weights.
 */
final class BlockCalibration {
  private final Backend backend;
  private final Block block;
  private final Optional<Block> original;
  private final Target.Kind target;
  private final List<CalibrationBatch> batches;
  private int reached;

  /**
   * A calibration.
   *
   * @param original the block with weights that stay as they are, for targets that need it
   */
  BlockCalibration(
      Backend backend,
      Block block,
      Optional<Block> original,
      Target.Kind target,
      List<CalibrationBatch> batches) {
    this.backend = backend;
    this.block = block;
    this.original = original;
    this.target = target;
    this.batches = batches;
  }

  /** True-sequential: each group sees the earlier groups of its block quantized. */
  void sequential(BiConsumer<Step.Linears, Optional<InputStatistics>> quantize) {
    List<Step> steps = block.spec().steps();
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i) instanceof Step.Linears group) {
        try (TensorScope local = backend.newScope()) {
          Optional<InputStatistics> statistics =
              batches.isEmpty() ? Optional.empty() : Optional.of(statistics(i, local));
          for (CalibrationBatch batch : batches) {
            batch.run(block, original, reached, i);
            statistics.orElseThrow().add(batch.registers(), batch.full(), group);
          }
          reached = i;
          quantize.accept(group, statistics);
        }
      }
    }
  }

  /** All groups see the unquantized block; their statistics are held at the same time. */
  void atOnce(BiConsumer<Step.Linears, Optional<InputStatistics>> quantize) {
    List<Step> steps = block.spec().steps();
    try (TensorScope local = backend.newScope()) {
      Map<Step.Linears, InputStatistics> all = new LinkedHashMap<>();
      for (int i = 0; i < steps.size(); i++) {
        if (steps.get(i) instanceof Step.Linears group) {
          all.put(group, statistics(i, local));
        }
      }
      for (CalibrationBatch batch : batches) {
        try (TensorScope run = backend.newScope();
            Registers registers = residual(batch.registers(), run)) {
          Optional<Registers> full = batch.full().map(f -> residual(f, run));
          CalibrationBatch trial = new CalibrationBatch(registers, full, batch.sequences());
          int from = 0;
          for (int i = 0; i < steps.size(); i++) {
            if (steps.get(i) instanceof Step.Linears group) {
              trial.run(block, original, from, i);
              all.get(group).add(registers, full, group);
              from = i;
            }
          }
        }
      }
      all.forEach((group, statistics) -> quantize.accept(group, Optional.of(statistics)));
    }
  }

  /** A copy of the residual stream. */
  private Registers residual(Registers of, TensorScope scope) {
    Registers copy = new Registers(backend, scope);
    Tensor x = of.get(Step.RESIDUAL);
    copy.define(Step.RESIDUAL, x.rows(), x.columns(), y -> backend.linalg().convert(x, y));
    return copy;
  }

  /** Takes the batches to the end of the block. */
  void finish() {
    for (CalibrationBatch batch : batches) {
      batch.run(block, original, reached, block.spec().steps().size());
    }
  }

  private InputStatistics statistics(int index, TensorScope scope) {
    return InputStatistics.of(backend, block.spec().steps(), index, target, scope);
  }
}
