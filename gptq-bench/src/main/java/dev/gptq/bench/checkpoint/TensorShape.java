package dev.gptq.bench.checkpoint;

import com.google.common.collect.ImmutableList;

/**
 * A tensor of a checkpoint.
 *
 * @param name its name
 * @param sizes its dimensions, the last one contiguous
 */
public record TensorShape(String name, ImmutableList<Long> sizes) {
  private static final double GAIN_DEVIATION = 0.1;
  private static final double WEIGHT_DEVIATION = 0.02;

  /** A vector or matrix. */
  static TensorShape of(String name, Long... sizes) {
    return new TensorShape(name, ImmutableList.copyOf(sizes));
  }

  /**
   * The norm and the projections with which a block of the Llama kind begins.
   *
   * @param queries channels of all query heads
   * @param shared channels of all key heads, and of all value heads
   */
  static ImmutableList<TensorShape> attention(
      String prefix, long hidden, long queries, long shared) {
    return ImmutableList.of(
        of(prefix + "input_layernorm.weight", hidden),
        of(prefix + "self_attn.q_proj.weight", queries, hidden),
        of(prefix + "self_attn.k_proj.weight", shared, hidden),
        of(prefix + "self_attn.v_proj.weight", shared, hidden),
        of(prefix + "self_attn.o_proj.weight", hidden, queries));
  }

  /** Number of elements. */
  long elements() {
    return sizes.stream().reduce(1L, Math::multiplyExact);
  }

  /** The gain of a norm, whose elements are near one. */
  private boolean isGain() {
    return sizes.size() == 1 && name.endsWith(".weight");
  }

  /** Mean of its elements. */
  double mean() {
    return isGain() ? 1 : 0;
  }

  /** Standard deviation of its elements: for weights that with which models are initialised. */
  double deviation() {
    return isGain() ? GAIN_DEVIATION : WEIGHT_DEVIATION;
  }
}
