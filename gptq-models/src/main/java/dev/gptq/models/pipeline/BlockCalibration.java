package dev.gptq.models.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Registers;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * Takes the calibration batches through one block and gathers the Hessian of every group of linear
 * layers on the way. Sequentially, each step of the block is computed once: the batches stop before
 * a group, the group is quantized, and they go on from there with its quantized weights.
 */
final class BlockCalibration {
  private final Backend backend;
  private final Block block;
  private final List<CalibrationBatch> batches;
  private int reached;

  BlockCalibration(Backend backend, Block block, List<CalibrationBatch> batches) {
    this.backend = backend;
    this.block = block;
    this.batches = batches;
  }

  /** True-sequential: each group sees the earlier groups of its block quantized. */
  void sequential(BiConsumer<Step.Linears, Optional<Hessian>> quantize) {
    List<Step> steps = block.spec().steps();
    for (int i = 0; i < steps.size(); i++) {
      if (steps.get(i) instanceof Step.Linears group) {
        try (TensorScope local = backend.newScope()) {
          Optional<Hessian> hessian =
              batches.isEmpty() ? Optional.empty() : Optional.of(hessian(group, local));
          for (CalibrationBatch batch : batches) {
            block.run(batch.registers(), batch.sequences(), reached, i);
            add(batch.registers(), group, hessian.orElseThrow());
          }
          reached = i;
          quantize.accept(group, hessian);
        }
      }
    }
  }

  /** All groups see the unquantized block; their Hessians are held at the same time. */
  void atOnce(BiConsumer<Step.Linears, Optional<Hessian>> quantize) {
    List<Step> steps = block.spec().steps();
    try (TensorScope local = backend.newScope()) {
      Map<Step.Linears, Hessian> hessians = new LinkedHashMap<>();
      for (Step step : steps) {
        if (step instanceof Step.Linears group) {
          hessians.put(group, hessian(group, local));
        }
      }
      for (CalibrationBatch batch : batches) {
        try (TensorScope run = backend.newScope();
            Registers registers = new Registers(backend, run)) {
          Tensor x = batch.registers().get(Step.RESIDUAL);
          registers.define(
              Step.RESIDUAL, x.rows(), x.columns(), y -> backend.linalg().convert(x, y));
          int from = 0;
          for (int i = 0; i < steps.size(); i++) {
            if (steps.get(i) instanceof Step.Linears group) {
              block.run(registers, batch.sequences(), from, i);
              add(registers, group, hessians.get(group));
              from = i;
            }
          }
        }
      }
      hessians.forEach((group, hessian) -> quantize.accept(group, Optional.of(hessian)));
    }
  }

  /** Takes the batches to the end of the block. */
  void finish() {
    for (CalibrationBatch batch : batches) {
      block.run(batch.registers(), batch.sequences(), reached, block.spec().steps().size());
    }
  }

  /** Adds the tokens of a batch that reach the group; an expert may get none. */
  private static void add(Registers registers, Step.Linears group, Hessian hessian) {
    if (!registers.isEmpty(group.in())) {
      hessian.add(registers.get(group.in()));
    }
  }

  private Hessian hessian(Step.Linears group, TensorScope scope) {
    return new Hessian(backend, scope, group.modules().getFirst().inputs());
  }
}
