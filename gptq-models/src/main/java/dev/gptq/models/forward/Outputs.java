package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.List;

/** A batch of windows behind the last block, from which logits can be taken piece by piece. */
public final class Outputs implements AutoCloseable {
  /** Logits of each of two models that are there at a time: 64 MiB. */
  private static final int COMPARED = 1 << 24;

  private final Backend backend;
  private final Ends ends;
  private final List<int[]> windows;
  private final Registers registers;

  /** Owns the registers. */
  Outputs(Backend backend, Ends ends, List<int[]> windows, Registers registers) {
    this.backend = backend;
    this.ends = ends;
    this.windows = windows;
    this.registers = registers;
  }

  /** Logits of positions from … to−1, counted through all windows: positions × vocabulary. */
  public float[] logits(int from, int to) {
    try (TensorScope local = backend.newScope()) {
      return HostCopies.floats(ends.logits(registers, from, to, local));
    }
  }

  /**
   * The loss {@code −ln p(next token)} at every position, one window after the other. The last
   * position of a window has no next token; its entry is 0.
   */
  public float[] losses() {
    return ends.losses(windows, registers);
  }

  /** Reads how predictions differ at a position that has a next token. */
  @FunctionalInterface
  public interface Differences {
    /**
     * Hears of one position.
     *
     * @param position counted through all windows
     * @param divergence {@code KL(base ‖ model)} of the predictions
     * @param baseLoss {@code −ln p(next token)} of the base
     * @param lossChange what the model's loss is more
     * @param sameTop whether both find the same token most likely
     */
    void add(int position, double divergence, double baseLoss, double lossChange, boolean sameTop);
  }

  /**
   * Compares the predictions with those of a base of the same vocabulary, on the same backend, for
   * the same windows; position by position, one window after the other.
   */
  public void compare(Outputs base, Differences differences) {
    int length = windows.getFirst().length;
    int tokens = windows.size() * length;
    int chunk = Math.max(1, COMPARED / ends.vocabulary());
    for (int from = 0; from < tokens; from += chunk) {
      int to = Math.min(from + chunk, tokens);
      float[] found = differences(base, from, to);
      int count = to - from;
      for (int i = 0; i < count; i++) {
        if ((from + i) % length + 1 < length) {
          differences.add(
              from + i,
              found[i],
              found[count + i],
              found[2 * count + i],
              found[3 * count + i] == 1);
        }
      }
    }
  }

  private float[] differences(Outputs base, int from, int to) {
    try (TensorScope local = backend.newScope()) {
      Tensor found = local.rowMajor(DType.F32, 4, to - from);
      backend
          .transformer()
          .divergence(
              ends.logits(registers, from, to, local),
              base.ends.logits(base.registers, from, to, local),
              local.upload(Ends.next(windows, from, to)),
              found);
      return HostCopies.floats(found);
    }
  }

  @Override
  public void close() {
    registers.close();
  }
}
