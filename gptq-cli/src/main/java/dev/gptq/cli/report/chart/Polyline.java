package dev.gptq.cli.report.chart;

import com.google.common.primitives.ImmutableDoubleArray;
import java.util.function.Function;

/** Points on the canvas. */
public record Polyline(ImmutableDoubleArray x, ImmutableDoubleArray y) {
  private static final int STEPS = 16;

  /** Those values of a series that can be drawn. */
  static Polyline of(
      Series series,
      boolean logarithmic,
      Function<Double, Double> toX,
      Function<Double, Double> toY) {
    ImmutableDoubleArray.Builder xs = ImmutableDoubleArray.builder();
    ImmutableDoubleArray.Builder ys = ImmutableDoubleArray.builder();
    for (int i = 0; i < series.x().length(); i++) {
      double y = series.y().get(i);
      if (Double.isFinite(y) && (!logarithmic || y > 0)) {
        xs.add(toX.apply(series.x().get(i)));
        ys.add(toY.apply(y));
      }
    }
    return new Polyline(xs.build(), ys.build());
  }

  /** How much of the line lies inside a rectangle, in sixteenths of its pieces. */
  int inside(double left, double top, double width, double height) {
    int count = 0;
    for (int i = 1; i < x.length(); i++) {
      for (int step = 0; step <= STEPS; step++) {
        double t = (double) step / STEPS;
        double px = (1 - t) * x.get(i - 1) + t * x.get(i);
        double py = (1 - t) * y.get(i - 1) + t * y.get(i);
        if (px >= left && px <= left + width && py >= top && py <= top + height) {
          count++;
        }
      }
    }
    return count;
  }
}
