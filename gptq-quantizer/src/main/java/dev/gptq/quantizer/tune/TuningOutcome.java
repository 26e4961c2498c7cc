package dev.gptq.quantizer.tune;

import com.google.common.collect.ImmutableList;

/**
 * What came of tuning.
 *
 * @param rate what offsets moved by in the first step
 * @param looks at the held-out text, in order; the first before the first step
 * @param tokens of the text
 * @param written windows of the model's own that it was tuned with besides
 * @param weights that were tuned
 * @param seconds it took
 */
public record TuningOutcome(
    double rate,
    ImmutableList<Look> looks,
    long tokens,
    int written,
    long weights,
    double seconds) {

  /**
   * A look at the held-out text.
   *
   * @param step steps done by then
   * @param training mean divergence from the full-precision model in the steps since the look
   *     before; NaN in the first
   * @param heldOut mean divergence on the held-out text
   */
  public record Look(int step, double training, double heldOut) {}

  /** The look whose state was kept. */
  public Look best() {
    Look best = looks.getFirst();
    for (Look look : looks) {
      if (look.heldOut() < best.heldOut()) {
        best = look;
      }
    }
    return best;
  }

  /** Whether any state was better than the first. */
  public boolean gained() {
    return best().step() > 0;
  }

  /** Steps that were done. */
  public int steps() {
    return looks.getLast().step();
  }
}
