package dev.gptq.quantizer.pipeline;

import dev.gptq.backend.Backend;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.SplittableRandom;

/**
 * Labels that are drawn from the model's own predictions: the mean of {@code g·gᵀ} over gradients g
 * of the cross-entropy with such labels is the Fisher matrix, the curvature of the KL divergence.
 */
public final class DrawnLabels {
  /** Labels of a position at most. */
  static final int MOST_DRAWS = 4;

  private static final long SEED = 20_261_129L;

  private DrawnLabels() {}

  /**
   * Labels for some positions; the same for the same positions, however they are batched.
   *
   * @param logits F32, positions × vocabulary
   * @param draw which of several for the same position
   * @param first of the positions, counted through the whole text
   * @param scope owns the result, I32, 1 × positions
   */
  public static Tensor of(Backend backend, Tensor logits, int draw, int first, TensorScope scope) {
    float[] uniform = new float[logits.rows()];
    for (int t = 0; t < uniform.length; t++) {
      long position = (long) (first + t) * MOST_DRAWS + draw;
      uniform[t] = new SplittableRandom(SEED + position).nextInt(1 << 24) * 0x1p-24f;
    }
    Tensor targets = scope.rowMajor(DType.I32, 1, uniform.length);
    try (TensorScope local = backend.newScope()) {
      backend.gradients().sample(logits, local.upload(uniform), targets);
    }
    return targets;
  }
}
