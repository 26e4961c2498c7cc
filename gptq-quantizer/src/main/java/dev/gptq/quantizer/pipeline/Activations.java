package dev.gptq.quantizer.pipeline;

/**
 * What becomes of activations that are wider than the residual stream, those between the two halves
 * of a feed-forward layer above all, while the group that reads them is quantized. The result is
 * the same to the last bit.
 */
public enum Activations {
  /** They are there for all calibration tokens at once, and each step is computed once. */
  KEPT,
  /**
   * They are there for one batch at a time, and computed again behind the quantized group: memory
   * for half as many forward passes more.
   */
  COMPUTED_AGAIN
}
