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
