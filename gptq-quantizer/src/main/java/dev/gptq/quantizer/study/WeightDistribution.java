package dev.gptq.quantizer.study;

import com.google.common.primitives.ImmutableLongArray;

/**
 * How the weights of a module are distributed.
 *
 * @param name of the module
 * @param count number of weights
 * @param mean their mean
 * @param deviation their standard deviation
 * @param skew the mean of {@code ((w − mean)/deviation)³}: 0 if symmetric
 * @param outliers the share of weights more than four deviations from the mean
 * @param lowest the least
 * @param highest the largest
 * @param bins numbers of weights in stretches of equal length from the least to the largest
 */
public record WeightDistribution(
    String name,
    long count,
    double mean,
    double deviation,
    double skew,
    double outliers,
    double lowest,
    double highest,
    ImmutableLongArray bins) {
  /** Deviations from the mean beyond which a weight is an outlier. */
  public static final double FAR = 4;

  /** The share of a normal distribution that lies farther than {@link #FAR} from its mean. */
  public static final double NORMAL_OUTLIERS = 6.334e-5;

  /** The length of one of the stretches. */
  public double binWidth() {
    return (highest - lowest) / bins.length();
  }
}
