package dev.gptq.models.forward;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Gradients of the loss, summed over all positions, with respect to the outputs of all linear
 * layers of a model. The forward pass keeps the residual stream before each block in {@link
 * Borders}; on the way back each block is run again from there, so that the activations of one
 * block only are held.
 */
public final class BackwardPass {
  private final Backend backend;
  private final Ends ends;
  private final ImmutableList<Block> blocks;
  private final Borders borders;

  BackwardPass(Backend backend, Ends ends, ImmutableList<Block> blocks, Borders borders) {
    this.backend = backend;
    this.ends = ends;
    this.blocks = blocks;
    this.borders = borders;
  }

  /** Chooses the tokens that positions are asked to predict. */
  @FunctionalInterface
  public interface Labels {
    /**
     * The labels of some positions.
     *
     * @param logits of these positions, F32, positions × vocabulary
     * @param round which of several draws for the same text
     * @param from the first of the positions, counted through all windows of the batch
     * @param scope owns the result, I32, 1 × positions
     */
    Tensor of(Tensor logits, int round, int from, TensorScope scope);
  }

  /** What a backward pass begins with. */
  @FunctionalInterface
  public interface Loss {
    /**
     * The gradient of the loss at some positions.
     *
     * @param logits of these positions, F32, positions × vocabulary
     * @param round which of several losses for the same text
     * @param from the first of the positions, counted through all windows of the batch
     * @param dLogits out, of the activation type and the shape of the logits
     */
    void gradient(Tensor logits, int round, int from, Tensor dLogits);
  }

  /** Hears of gradients of weights, block by block from the last to the first. */
  @FunctionalInterface
  public interface WeightListener {
    /**
     * What the gradient of the weights of a layer is the product of: {@code gradientᵀ·input}.
     *
     * @param input of the layer, in the activation type, tokens × inputs; gone when the call
     *     returns
     * @param gradient of its outputs, tokens × outputs; gone likewise
     */
    void gradient(int block, LinearSpec module, Tensor input, Tensor gradient);
  }

  /** Hears of gradients, block by block from the last to the first, and round by round in each. */
  @FunctionalInterface
  public interface Listener {
    /**
     * The gradient at a group of layers that share an input; not heard of for an expert that no
     * token chose.
     *
     * @param gradient of the outputs of all its modules side by side, in the activation type, rows
     *     of tokens, an expert's only those that chose it, × outputs; gone when the call returns
     */
    void gradient(int block, Step.Linears group, Tensor gradient);
  }

  /** Hears of inputs and gradients, block by block from the last to the first. */
  @FunctionalInterface
  public interface GroupListener {
    /**
     * The input of a group of layers that share it, and the gradient of their outputs.
     *
     * @param input in the activation type, tokens × inputs; gone when the call returns
     * @param gradient of the outputs of all its modules side by side, in the activation type,
     *     tokens × outputs; gone likewise
     */
    void gradient(int block, Step.Linears group, Tensor input, Tensor gradient);
  }

  /**
   * Takes a batch of windows of equal length forward once and then back, once for each round of
   * labels.
   */
  public void run(List<int[]> windows, int rounds, Labels labels, Listener listener) {
    Preconditions.checkArgument(rounds > 0, "no labels to take gradients with");
    run(
        windows,
        rounds,
        loss(labels),
        false,
        (block, gradients, group, input) -> show(block, group, gradients, listener));
  }

  /** Takes a batch of windows of equal length forward and back once, and shows inputs too. */
  public void runWithInputs(List<int[]> windows, Labels labels, GroupListener listener) {
    run(
        windows,
        1,
        loss(labels),
        true,
        (block, gradients, group, input) ->
            show(
                block,
                group,
                gradients,
                (index, linears, gradient) ->
                    listener.gradient(index, linears, input.orElseThrow(), gradient)));
  }

  /** The cross-entropy with labels. */
  private Loss loss(Labels labels) {
    return (logits, round, from, dLogits) -> {
      try (TensorScope drawn = backend.newScope()) {
        Tensor targets = labels.of(logits, round, from, drawn);
        backend.gradients().crossEntropyGradient(logits, targets, dLogits);
      }
    };
  }

  /** Takes a batch of windows of equal length forward and back, for the gradients of weights. */
  public void run(List<int[]> windows, Loss loss, WeightListener listener) {
    run(
        windows,
        1,
        loss,
        true,
        (block, gradients, group, input) -> show(block, gradients, group, input, listener));
  }

  /**
   * Takes one block forward and back, for the gradients of its weights where the loss is {@code
   * ½·Σ(y − target)²}, with y what the block makes of a residual stream.
   *
   * @param in the stream before the block, of the activation type, tokens × features
   * @param target what is wanted behind it, of the same type and shape
   * @param sequences windows of equal length in it
   * @return the mean of {@code (y − target)²}
   */
  public double run(int index, Tensor in, Tensor target, int sequences, WeightListener listener) {
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local);
        Registers gradients = new Registers(backend, local)) {
      registers.define(
          Step.RESIDUAL, in.rows(), in.columns(), x -> backend.linalg().convert(in, x));
      BlockGradient block = blocks.get(index).runKeeping(registers, sequences, true, local);
      Tensor y = registers.get(Step.RESIDUAL);
      gradients.define(
          Step.RESIDUAL,
          y.rows(),
          y.columns(),
          d -> {
            backend.linalg().convert(y, d);
            backend.linalg().axpy(-1, target, d);
          });
      double error = meanSquare(gradients.get(Step.RESIDUAL));
      block.back(gradients, (group, input) -> show(index, gradients, group, input, listener));
      return error;
    }
  }

  private double meanSquare(Tensor x) {
    try (TensorScope local = backend.newScope()) {
      Tensor wide = local.rowMajor(DType.F32, x.rows(), x.columns());
      backend.linalg().convert(x, wide);
      Tensor total = local.zeros(DType.F64, 1, 1, Layout.ROW_MAJOR);
      backend.linalg().addSumOfSquares(wide, total);
      return HostCopies.scalar(total) / x.elements();
    }
  }

  private static void show(
      int block,
      Registers gradients,
      Step.Linears group,
      Optional<Tensor> input,
      WeightListener listener) {
    for (LinearSpec module : group.modules()) {
      if (gradients.isDefined(module.out())) {
        listener.gradient(block, module, input.orElseThrow(), gradients.get(module.out()));
      }
    }
  }

  /** Sees the gradients of the outputs of a group. */
  private interface Visitor {
    void seen(int block, Registers gradients, Step.Linears group, Optional<Tensor> input);
  }

  private void run(
      List<int[]> windows, int rounds, Loss loss, boolean keepInputs, Visitor visitor) {
    int sequences = windows.size();
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      ends.embed(windows, registers, local);
      for (Block block : blocks) {
        borders.put(registers.get(Step.RESIDUAL));
        block.run(registers, Pass.windows(sequences));
      }
      List<Registers> gradients = new ArrayList<>();
      for (int round = 0; round < rounds; round++) {
        gradients.add(new Registers(backend, local));
      }
      ends.gradients(registers, loss, gradients);
      registers.release(Step.RESIDUAL);
      for (int i = blocks.size() - 1; i >= 0; i--) {
        back(i, sequences, gradients, keepInputs, visitor);
      }
      gradients.forEach(Registers::close);
    }
  }

  private void back(
      int index, int sequences, List<Registers> rounds, boolean keepInputs, Visitor visitor) {
    try (TensorScope local = backend.newScope();
        Registers registers = new Registers(backend, local)) {
      borders.take(border ->
          registers.define(
              Step.RESIDUAL,
              border.rows(),
              border.columns(),
              x -> backend.linalg().convert(border, x)));
      BlockGradient block = blocks.get(index).runKeeping(registers, sequences, keepInputs, local);
      for (Registers gradients : rounds) {
        block.back(gradients, (group, input) -> visitor.seen(index, gradients, group, input));
      }
    }
  }

  private void show(int block, Step.Linears group, Registers gradients, Listener listener) {
    if (group.modules().size() == 1) {
      listener.gradient(block, group, gradients.get(group.modules().getFirst().out()));
      return;
    }
    int columns = group.modules().stream().mapToInt(LinearSpec::outputs).sum();
    int rows =
        group.modules().stream()
            .map(LinearSpec::out)
            .filter(gradients::isDefined)
            .mapToInt(out -> gradients.get(out).rows())
            .findFirst()
            .orElseThrow();
    try (TensorScope local = backend.newScope()) {
      Tensor all = local.zeros(backend.activationType(), rows, columns, Layout.ROW_MAJOR);
      int from = 0;
      for (LinearSpec module : group.modules()) {
        int to = from + module.outputs();
        if (gradients.isDefined(module.out())) {
          backend.linalg().convert(gradients.get(module.out()), all.columns(from, to));
        }
        from = to;
      }
      listener.gradient(block, group, all);
    }
  }
}
