package dev.gptq.models.forward;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.TensorScope;
import java.util.List;

/** A batch of windows behind the last block, from which logits can be taken piece by piece. */
public final class Outputs implements AutoCloseable {
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

  @Override
  public void close() {
    registers.close();
  }
}
