package dev.gptq.cli;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableLongArray;
import dev.gptq.cli.chart.Chart;
import dev.gptq.cli.chart.Series;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

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
record WeightDistribution(
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
  static final double FAR = 4;

  /** The share of a normal distribution that lies farther than {@link #FAR} from its mean. */
  static final double NORMAL_OUTLIERS = 6.334e-5;

  private static final int WIDTH = 60;
  private static final int CURVE_POINTS = 200;
  private static final int BLUE = 0x1f77b4;
  private static final int GREEN = 0x008000;

  private double binWidth() {
    return (highest - lowest) / bins.length();
  }

  private String summary() {
    return String.format(
        Locale.ROOT,
        "mean %.3g, standard deviation %.3g, from %.3g to %.3g",
        mean,
        deviation,
        lowest,
        highest);
  }

  private String shape() {
    return String.format(
        Locale.ROOT,
        "skew %.3f; %.3f %% beyond 4 deviations, %.3f %% of a normal distribution",
        skew,
        100 * outliers,
        100 * NORMAL_OUTLIERS);
  }

  /** In text. */
  List<String> lines() {
    List<String> lines = new ArrayList<>();
    lines.add(name + ": " + summary());
    lines.add(shape());
    long most = Math.max(1, bins.stream().max().orElse(1));
    for (int b = 0; b < bins.length(); b++) {
      lines.add(
          String.format(Locale.ROOT, "%10.4f  %10d  ", lowest + b * binWidth(), bins.get(b))
              + "#".repeat((int) (bins.get(b) * WIDTH / most)));
    }
    return lines;
  }

  /** As bars, with the normal distribution of the same mean and deviation. */
  Chart chart() {
    double[] edges = new double[bins.length()];
    double[] heights = new double[edges.length];
    for (int b = 0; b < edges.length; b++) {
      edges[b] = lowest + b * binWidth();
      heights[b] = bins.get(b);
    }
    double[] x = new double[CURVE_POINTS + 1];
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = lowest + (highest - lowest) * i / CURVE_POINTS;
      double t = (x[i] - mean) / deviation;
      y[i] = count * binWidth() * Math.exp(-t * t / 2) / (deviation * Math.sqrt(2 * Math.PI));
    }
    return new Chart(
        name,
        "weight",
        "number of weights",
        false,
        ImmutableList.of(
            Series.of("weights", Series.Shape.BARS, edges, heights, BLUE),
            Series.of("normal", Series.Shape.DASHES, x, y, GREEN)),
        ImmutableList.of(
            String.format(Locale.ROOT, "%d weights", count),
            String.format(Locale.ROOT, "mean %.2e, deviation %.2e", mean, deviation),
            String.format(Locale.ROOT, "skew %.3f", skew),
            String.format(Locale.ROOT, "beyond 4 deviations: %.3f %%", 100 * outliers),
            String.format(Locale.ROOT, "(normal: %.3f %%)", 100 * NORMAL_OUTLIERS)));
  }
}
