package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.Rehearsal;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.forward.BackwardPass;
import dev.gptq.models.forward.Block;
import dev.gptq.models.forward.Decoder;
import dev.gptq.models.forward.Registers;
import dev.gptq.models.forward.RopeTables;
import dev.gptq.models.forward.WeightSource;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;

/**
 * Tunes each block of a quantized model by itself, from the first to the last: sign descent of
 * {@code Σ(y − y*)²}, with y what the block makes of what the blocks before it leave behind, tuned
 * as they are by then, and y* what the full-precision model leaves behind there. It brings codes
 * and scales nearer to where tuning the whole model begins well, for a share of its time.
 *
 * <p>Memory of the backend beside the model's: two residual streams of all windows, a block in full
 * precision, and the derivative of a block.
 *
 * <p>Source: Cheng et al., "Optimize Weight Rounding via Signed Gradient Descent for the
 * Quantization of LLMs" (2023), which tunes blocks only.
 */
final class BlockTuning {
  /** What an offset moves by in the first step; it falls to 0 as a cosine does. */
  static final double RATE = 0.003;

  /** Tokens whose streams are held. */
  private static final int MOST_TOKENS = 1 << 19;

  private final Backend backend;
  private final Decoder decoder;
  private final BackwardPass backward;
  private final WeightSource source;
  private final ImmutableList<int[]> windows;
  private final int steps;

  /** The quantized weights of the model. */
  interface Weights {
    /** A step of a layer's weights against the gradient {@code gradientᵀ·input}. */
    void descend(int block, LinearSpec linear, Tensor input, Tensor gradient, float size);

    /** Lets a block run with what its weights have become. */
    void show(int block);
  }

  /**
   * A tuning of all blocks.
   *
   * @param decoder the quantized model
   * @param source has its full precision
   * @param windows of equal length, of which as many are taken as there is room for
   * @param steps for each block
   */
  BlockTuning(
      Decoder decoder,
      BackwardPass backward,
      WeightSource source,
      ImmutableList<int[]> windows,
      int steps) {
    this.backend = decoder.backend();
    this.decoder = decoder;
    this.backward = backward;
    this.source = source;
    int most = Math.max(1, MOST_TOKENS / windows.getFirst().length);
    this.windows = windows.subList(0, Math.min(most, windows.size()));
    this.steps = steps;
  }

  /** Tunes; returns which part of the squared errors is left, the mean over blocks. */
  double run(Weights weights) {
    int blocks = decoder.spec().blocks().size();
    double left = 0;
    try (TensorScope scope = backend.newScope()) {
      Tensor wanted = streams(scope);
      Tensor found = scope.rowMajor(wanted.type(), wanted.rows(), wanted.columns());
      backend.linalg().convert(wanted, found);
      for (int block = 0; block < blocks; block++) {
        try (TensorScope local = backend.newScope()) {
          RopeTables ropes = new RopeTables(local);
          Block full = new Block(backend, decoder.spec().blocks().get(block), source, ropes, local);
          pass(full, wanted);
        }
        left += tune(block, found, wanted, weights) / blocks;
        pass(decoder.block(block), found);
      }
    }
    return left;
  }

  /** What the first block finds of all windows. */
  private Tensor streams(TensorScope scope) {
    int length = windows.getFirst().length;
    Tensor streams =
        scope.rowMajor(backend.activationType(), windows.size() * length, decoder.spec().hidden());
    forBatches((from, to) -> {
      try (TensorScope local = backend.newScope()) {
        Tensor some = decoder.embedded(windows.subList(from, to), local);
        backend.linalg().convert(some, streams.rows(from * length, to * length));
      }
    });
    return streams;
  }

  /** Takes streams through a block. */
  private void pass(Block block, Tensor streams) {
    int length = windows.getFirst().length;
    forBatches((from, to) -> {
      Tensor rows = streams.rows(from * length, to * length);
      try (TensorScope local = backend.newScope();
          Registers registers = new Registers(backend, local)) {
        registers.define(
            Step.RESIDUAL, rows.rows(), rows.columns(), x -> backend.linalg().convert(rows, x));
        block.run(registers, to - from, 0, block.spec().steps().size());
        backend.linalg().convert(registers.get(Step.RESIDUAL), rows);
      }
    });
  }

  private void forBatches(Decoder.Runs body) {
    for (int from = 0; from < windows.size(); from += Tuning.WINDOWS) {
      body.run(from, Math.min(from + Tuning.WINDOWS, windows.size()));
      if (backend instanceof Rehearsal) {
        // All batches take the same memory.
        return;
      }
    }
  }

  /** Tunes a block; returns which part of the squared error of its first windows is left. */
  private double tune(int block, Tensor found, Tensor wanted, Weights weights) {
    WindowOrder order = new WindowOrder(windows.size());
    int[] first = order.next(Tuning.WINDOWS);
    int[] some = first;
    double before = 0;
    for (int step = 0; step < steps; step++) {
      float size = (float) (RATE * (1 + Math.cos(Math.PI * step / steps)) / 2);
      double error =
          step(
              block,
              some,
              found,
              wanted,
              (index, linear, input, gradient) ->
                  weights.descend(index, linear, input, gradient, size));
      before = step == 0 ? error : before;
      weights.show(block);
      some = order.next(Tuning.WINDOWS);
    }
    double after = step(block, first, found, wanted, (index, linear, input, gradient) -> {});
    return before == 0 ? 1 : after / before;
  }

  private double step(
      int block, int[] some, Tensor found, Tensor wanted, BackwardPass.WeightListener listener) {
    int length = windows.getFirst().length;
    try (TensorScope local = backend.newScope()) {
      Tensor in = local.rowMajor(found.type(), some.length * length, found.columns());
      Tensor target = local.rowMajor(found.type(), some.length * length, found.columns());
      for (int i = 0; i < some.length; i++) {
        int at = some[i] * length;
        int to = i * length;
        backend.linalg().convert(found.rows(at, at + length), in.rows(to, to + length));
        backend.linalg().convert(wanted.rows(at, at + length), target.rows(to, to + length));
      }
      return backward.run(block, in, target, some.length, listener);
    }
  }
}
