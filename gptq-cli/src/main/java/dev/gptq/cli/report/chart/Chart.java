package dev.gptq.cli.report.chart;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.report.chart.Canvas.Anchor;
import java.util.function.Function;
import java.util.stream.DoubleStream;

/**
 * Series over common axes, in the manner of the plots this study began with: a frame, the title
 * above, the legend inside, at the upper left if it hides nothing there.
 *
 * @param title above
 * @param xTitle below
 * @param yTitle on the left
 * @param logarithmic whether the vertical axis is; values that are not positive are left out then
 * @param series drawn in this order
 * @param notes lines of text at the upper right
 */
public record Chart(
    String title,
    String xTitle,
    String yTitle,
    boolean logarithmic,
    ImmutableList<Series> series,
    ImmutableList<String> notes) {
  private static final double LEFT = 84;
  private static final double RIGHT = 24;
  private static final double TOP = 40;
  private static final double BOTTOM = 56;
  private static final int GREY = 0x808080;
  private static final int PALE = 0xdddddd;

  /** Values of all series along the vertical axis that can be drawn. */
  DoubleStream values() {
    return series.stream()
        .flatMapToDouble(s -> s.y().stream())
        .filter(y -> Double.isFinite(y) && (!logarithmic || y > 0));
  }

  /** The vertical axis for this chart's values and those of others. */
  static Axis common(Iterable<Chart> charts) {
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    boolean logarithmic = false;
    for (Chart chart : charts) {
      least = Math.min(least, chart.values().min().orElse(least));
      most = Math.max(most, chart.values().max().orElse(most));
      logarithmic = chart.logarithmic();
    }
    if (least > most) {
      throw new IllegalArgumentException("there is nothing to draw");
    }
    return logarithmic
        ? Axis.logarithmic(least / 1.3, most * 1.3)
        : Axis.linear(Math.min(0, least), most * 1.05);
  }

  /** Draws into the rectangle of that place and size. */
  void draw(Canvas canvas, Axis vertical, double left, double top, double width, double height) {
    double x0 = left + LEFT;
    double y0 = top + TOP;
    double w = width - LEFT - RIGHT;
    double h = height - TOP - BOTTOM;
    Axis horizontal = horizontal();
    Function<Double, Double> toX = x -> x0 + w * horizontal.at(x);
    Function<Double, Double> toY = y -> y0 + h * (1 - vertical.at(y));

    for (double tick : vertical.ticks()) {
      double y = toY.apply(tick);
      canvas.polyline(new double[] {x0, x0 + w}, new double[] {y, y}, PALE, 1, false);
      canvas.text(Axis.label(tick), x0 - 6, y + 4, 11, Anchor.END);
    }
    for (double tick : horizontal.ticks()) {
      double x = toX.apply(tick);
      canvas.polyline(new double[] {x, x}, new double[] {y0 + h, y0 + h + 4}, GREY, 1, false);
      canvas.text(Axis.label(tick), x, y0 + h + 18, 11, Anchor.MIDDLE);
    }
    series.forEach(s -> draw(canvas, s, toX, toY, y0 + h));
    canvas.frame(x0, y0, w, h, GREY);
    canvas.text(title, left + width / 2, top + 26, 14, Anchor.MIDDLE);
    canvas.text(xTitle, x0 + w / 2, top + height - 14, 12, Anchor.MIDDLE);
    canvas.textUpwards(yTitle, left + 18, y0 + h / 2, 12);
    Legend.of(series)
        .ifPresent(legend -> legend.draw(canvas, legend.corner(paths(toX, toY), x0, y0, w, h)));
    for (int i = 0; i < notes.size(); i++) {
      canvas.text(notes.get(i), x0 + w - 10, y0 + 20 + 16 * i, 11, Anchor.END);
    }
  }

  private Axis horizontal() {
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    for (Series s : series) {
      double bar =
          s.shape() == Series.Shape.BARS && s.x().length() > 1 ? s.x().get(1) - s.x().get(0) : 0;
      least = Math.min(least, s.x().stream().min().orElse(least));
      most = Math.max(most, s.x().stream().max().orElse(most) + bar);
    }
    double margin = 0.02 * (most - least);
    return Axis.linear(least - margin, most + margin);
  }

  /** The points of all lines, for the legend to keep away from. */
  private ImmutableList<Polyline> paths(
      Function<Double, Double> toX, Function<Double, Double> toY) {
    return series.stream()
        .map(s -> Polyline.of(s, logarithmic, toX, toY))
        .collect(ImmutableList.toImmutableList());
  }

  private void draw(
      Canvas canvas,
      Series s,
      Function<Double, Double> toX,
      Function<Double, Double> toY,
      double bottom) {
    Polyline path = Polyline.of(s, logarithmic, toX, toY);
    double[] x = path.x().toArray();
    double[] y = path.y().toArray();
    if (s.shape() == Series.Shape.BARS) {
      double width = x.length > 1 ? x[1] - x[0] : 1;
      for (int i = 0; i < x.length; i++) {
        canvas.rectangle(x[i], y[i], 0.92 * width, bottom - y[i], s.colour(), 1);
      }
    } else if (x.length > 0) {
      canvas.polyline(x, y, s.colour(), 2, s.shape() == Series.Shape.DASHES);
    }
  }
}
