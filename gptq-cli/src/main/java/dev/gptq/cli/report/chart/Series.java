package dev.gptq.cli.report.chart;

import com.google.common.primitives.ImmutableDoubleArray;

/**
 * A row of values.
 *
 * @param name in the legend; empty for none
 * @param shape how it is drawn
 * @param x where the values are: points of a line, left edges of bars
 * @param y the values
 * @param colour 0xRRGGBB
 */
public record Series(
    String name, Shape shape, ImmutableDoubleArray x, ImmutableDoubleArray y, int colour) {

  /** How values are drawn. */
  public enum Shape {
    /** A line through all points. */
    LINE,
    /** A broken line. */
    DASHES,
    /** Bars from zero up, as wide as the distance of the first two. */
    BARS
  }

  /** From arrays. */
  public static Series of(String name, Shape shape, double[] x, double[] y, int colour) {
    return new Series(
        name, shape, ImmutableDoubleArray.copyOf(x), ImmutableDoubleArray.copyOf(y), colour);
  }
}
