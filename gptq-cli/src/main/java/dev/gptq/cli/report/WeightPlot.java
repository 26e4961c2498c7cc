package dev.gptq.cli.report;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.report.chart.Chart;
import dev.gptq.cli.report.chart.Series;
import dev.gptq.quantizer.study.WeightDistribution;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Shows how the weights of a module are distributed. */
public record WeightPlot(WeightDistribution weights) {
  private static final int WIDTH = 60;
  private static final int CURVE_POINTS = 200;
  private static final int BLUE = 0x1f77b4;
  private static final int GREEN = 0x008000;

  private String summary() {
    return String.format(
        Locale.ROOT,
        "mean %.3g, standard deviation %.3g, from %.3g to %.3g",
        weights.mean(),
        weights.deviation(),
        weights.lowest(),
        weights.highest());
  }

  private String shape() {
    return String.format(
        Locale.ROOT,
        "skew %.3f; %.3f %% beyond 4 deviations, %.3f %% of a normal distribution",
        weights.skew(),
        100 * weights.outliers(),
        100 * WeightDistribution.NORMAL_OUTLIERS);
  }

  /** In text. */
  public List<String> lines() {
    List<String> lines = new ArrayList<>();
    lines.add(weights.name() + ": " + summary());
    lines.add(shape());
    long most = Math.max(1, weights.bins().stream().max().orElse(1));
    for (int b = 0; b < weights.bins().length(); b++) {
      lines.add(
          String.format(
                  Locale.ROOT,
                  "%10.4f  %10d  ",
                  weights.lowest() + b * weights.binWidth(),
                  weights.bins().get(b))
              + "#".repeat((int) (weights.bins().get(b) * WIDTH / most)));
    }
    return lines;
  }

  /** As bars, with the normal distribution of the same mean and deviation. */
  public Chart chart() {
    double[] edges = new double[weights.bins().length()];
    double[] heights = new double[edges.length];
    for (int b = 0; b < edges.length; b++) {
      edges[b] = weights.lowest() + b * weights.binWidth();
      heights[b] = weights.bins().get(b);
    }
    double[] x = new double[CURVE_POINTS + 1];
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = weights.lowest() + (weights.highest() - weights.lowest()) * i / CURVE_POINTS;
      double t = (x[i] - weights.mean()) / weights.deviation();
      y[i] =
          weights.count()
              * weights.binWidth()
              * Math.exp(-t * t / 2)
              / (weights.deviation() * Math.sqrt(2 * Math.PI));
    }
    return new Chart(
        weights.name(),
        "weight",
        "number of weights",
        false,
        ImmutableList.of(
            Series.of("weights", Series.Shape.BARS, edges, heights, BLUE),
            Series.of("normal", Series.Shape.DASHES, x, y, GREEN)),
        ImmutableList.of(
            String.format(Locale.ROOT, "%d weights", weights.count()),
            String.format(
                Locale.ROOT, "mean %.2e, deviation %.2e", weights.mean(), weights.deviation()),
            String.format(Locale.ROOT, "skew %.3f", weights.skew()),
            String.format(Locale.ROOT, "beyond 4 deviations: %.3f %%", 100 * weights.outliers()),
            String.format(
                Locale.ROOT, "(normal: %.3f %%)", 100 * WeightDistribution.NORMAL_OUTLIERS)));
  }
}
