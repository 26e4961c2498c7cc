package dev.gptq.cli.report.chart;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.report.chart.Canvas.Anchor;
import java.util.Optional;

/** The names of a chart's series where they hide least, in the upper left corner at best. */
public final class Legend {
  private static final double LINE = 16;
  private static final double MARGIN = 8;
  private static final int PALE = 0xdddddd;

  /** Into how many parts the way from corner to corner is cut, one after the other. */
  private static final int[] STEPS = {1, 2, 4};

  private final ImmutableList<Series> named;
  private final double width;
  private final double height;

  private Legend(ImmutableList<Series> named) {
    this.named = named;
    int longest = named.stream().mapToInt(s -> s.name().length()).max().orElse(0);
    this.width = 48 + 7.2 * longest;
    this.height = 10 + LINE * named.size();
  }

  /** Where the upper left corner of a legend goes. */
  record Corner(double x, double y) {}

  /** The legend of the series that have names, if any has. */
  static Optional<Legend> of(ImmutableList<Series> series) {
    ImmutableList<Series> named =
        series.stream().filter(s -> !s.name().isEmpty()).collect(ImmutableList.toImmutableList());
    return named.isEmpty() ? Optional.empty() : Optional.of(new Legend(named));
  }

  /**
   * Where in that rectangle the legend covers least of the lines: in a corner if one is free, else
   * between them.
   */
  Corner corner(ImmutableList<Polyline> paths, double left, double top, double w, double h) {
    double across = w - 2 * MARGIN - width;
    double down = h - 2 * MARGIN - height;
    Corner best = new Corner(left + MARGIN, top + MARGIN);
    for (int step : STEPS) {
      for (int y = 0; y <= step; y++) {
        for (int x = 0; x <= step; x++) {
          Corner corner =
              new Corner(left + MARGIN + across * x / step, top + MARGIN + down * y / step);
          if (covered(corner, paths) < covered(best, paths)) {
            best = corner;
          }
        }
      }
    }
    return best;
  }

  private int covered(Corner corner, ImmutableList<Polyline> paths) {
    return paths.stream()
        .mapToInt(path -> path.inside(corner.x(), corner.y(), width, height))
        .sum();
  }

  void draw(Canvas canvas, Corner corner) {
    double x = corner.x();
    double y = corner.y();
    canvas.rectangle(x, y, width, height, 0xffffff, 0.85);
    canvas.frame(x, y, width, height, PALE);
    for (int i = 0; i < named.size(); i++) {
      Series s = named.get(i);
      double line = y + 13 + LINE * i;
      if (s.shape() == Series.Shape.BARS) {
        canvas.rectangle(x + 8, line - 4, 24, 8, s.colour(), 1);
      } else {
        boolean dashed = s.shape() == Series.Shape.DASHES;
        double[] ends = {x + 8, x + 32};
        canvas.polyline(ends, new double[] {line, line}, s.colour(), 2, dashed);
      }
      canvas.text(s.name(), x + 40, line + 4, 11, Anchor.START);
    }
  }
}
