package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/** A decoder block with its weights: runs the steps of its description over {@link Registers}. */
public final class Block {
  private final Backend backend;
  private final BlockSpec spec;
  private final RopeTables ropes;
  private final BlockWeights weights;

  /** For each step the activations that no later one reads. */
  private final ImmutableList<ImmutableSet<String>> deadAfter;

  private Block(
      Backend backend,
      BlockSpec spec,
      RopeTables ropes,
      BlockWeights weights,
      ImmutableList<ImmutableSet<String>> deadAfter) {
    this.backend = backend;
    this.spec = spec;
    this.ropes = ropes;
    this.weights = weights;
    this.deadAfter = deadAfter;
  }

  /** The same weights for work of a lane of its backend, which has tables of its own. */
  public Block on(Backend lane, RopeTables tables) {
    return new Block(lane, spec, tables, weights, deadAfter);
  }

  /** Loads the weights of a block into {@code scope}. */
  public Block(
      Backend backend, BlockSpec spec, WeightSource source, RopeTables ropes, TensorScope scope) {
    this.backend = backend;
    this.spec = spec;
    this.ropes = ropes;
    this.weights = BlockWeights.load(spec, source, scope);
    this.deadAfter = deadAfter(spec);
  }

  /** The description. */
  public BlockSpec spec() {
    return spec;
  }

  /** The weights with which a linear layer runs that is not packed. */
  public Tensor dense(LinearSpec linear) {
    return weights.dense(linear);
  }

  /**
   * From now on a linear layer that is not packed runs with the values that packed codes stand for,
   * in the type of its own weights.
   */
  public void substitute(LinearSpec linear, PackedMatrix packed) {
    int rows = packed.rows();
    float[] values = new float[Math.multiplyExact(rows, packed.columns())];
    IntStream.range(0, packed.columns())
        .parallel()
        .forEach(i -> {
          for (int o = 0; o < rows; o++) {
            values[i * rows + o] = packed.weight(o, i);
          }
        });
    try (TensorScope local = backend.newScope()) {
      Tensor uploaded =
          local.upload(
              MemorySegment.ofArray(values),
              DType.F32,
              rows,
              packed.columns(),
              Layout.COLUMN_MAJOR);
      backend.linalg().convert(uploaded, dense(linear));
    }
  }

  /** Runs all steps; the residual stream is updated in place. */
  void run(Registers registers, Pass pass) {
    run(registers, pass, 0, spec.steps().size());
  }

  /** Runs steps {@code from} (inclusive) to {@code to} (exclusive) on whole windows. */
  public void run(Registers registers, int sequences, int from, int to) {
    run(registers, Pass.windows(sequences), from, to);
  }

  private void run(Registers registers, Pass pass, int from, int to) {
    StepRunner runner = new StepRunner(backend, weights, ropes, registers, pass);
    for (int i = from; i < to; i++) {
      runner.run(spec.steps().get(i));
      deadAfter.get(i).forEach(registers::release);
    }
  }

  /**
   * Runs all steps on whole windows and returns their derivatives, which live in a scope.
   *
   * @param keepInputs whether the inputs of linear layers live there too
   */
  BlockGradient runKeeping(
      Registers registers, int sequences, boolean keepInputs, TensorScope scope) {
    Pass pass = Pass.windows(sequences);
    StepRunner runner = new StepRunner(backend, weights, ropes, registers, pass);
    StepGradient.Context context =
        new StepGradient.Context(backend, weights, ropes, pass, keepInputs);
    List<StepGradient> gradients = new ArrayList<>();
    for (int i = 0; i < spec.steps().size(); i++) {
      Step step = spec.steps().get(i);
      gradients.add(StepGradient.before(step, registers, context, scope));
      runner.run(step);
      deadAfter.get(i).forEach(registers::release);
    }
    return new BlockGradient(ImmutableList.copyOf(gradients));
  }

  private static ImmutableList<ImmutableSet<String>> deadAfter(BlockSpec spec) {
    Set<String> alive = new HashSet<>(spec.kept());
    alive.add(Step.RESIDUAL);
    List<ImmutableSet<String>> backwards = new ArrayList<>();
    for (Step step : spec.steps().reversed()) {
      Set<String> dead = new HashSet<>(step.reads());
      dead.addAll(step.defines());
      dead.removeAll(alive);
      backwards.add(ImmutableSet.copyOf(dead));
      alive.addAll(step.reads());
    }
    return ImmutableList.copyOf(backwards.reversed());
  }
}
