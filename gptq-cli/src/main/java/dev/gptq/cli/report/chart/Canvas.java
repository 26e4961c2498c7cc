package dev.gptq.cli.report.chart;

/** What charts are drawn on; lengths in pixels from the upper left corner, colours as 0xRRGGBB. */
public interface Canvas {
  /** Where a text lies relative to its point. */
  enum Anchor {
    /** The point is its left end. */
    START,
    /** The point is its middle. */
    MIDDLE,
    /** The point is its right end. */
    END
  }

  /** A filled rectangle; opacity from 0 to 1. */
  void rectangle(double x, double y, double width, double height, int colour, double opacity);

  /** The outline of a rectangle, one pixel wide. */
  void frame(double x, double y, double width, double height, int colour);

  /** Points joined by straight lines. */
  void polyline(double[] x, double[] y, int colour, double width, boolean dashed);

  /** Text with its baseline at y. */
  void text(String text, double x, double y, double size, Anchor anchor);

  /** Text that runs upwards, with its middle at the point. */
  void textUpwards(String text, double x, double y, double size);
}
