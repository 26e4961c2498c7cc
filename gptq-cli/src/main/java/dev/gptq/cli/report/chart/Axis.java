package dev.gptq.cli.report.chart;

import com.google.common.collect.ImmutableList;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Locale;

/**
 * Values along an axis.
 *
 * @param from the value at its beginning
 * @param to the value at its end
 * @param logarithmic whether equal factors take equal room
 * @param ticks values that are marked
 */
public record Axis(double from, double to, boolean logarithmic, ImmutableList<Double> ticks) {
  private static final int ROUGHLY = 6;

  /** An axis from zero or below that ends at values worth marking. */
  static Axis linear(double least, double most) {
    double low = Math.min(least, most);
    double high = most > low ? most : low + 1;
    double step = step((high - low) / ROUGHLY);
    ImmutableList.Builder<Double> ticks = ImmutableList.builder();
    for (double k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12); k++) {
      ticks.add(k * step + 0.0);
    }
    return new Axis(low, high, false, ticks.build());
  }

  /** A logarithmic axis of positive values. */
  static Axis logarithmic(double least, double most) {
    double low = least;
    double high = most > least ? most : 10 * least;
    boolean few = high / low < 100;
    ImmutableList.Builder<Double> ticks = ImmutableList.builder();
    for (int power = (int) Math.floor(Math.log10(low)); Math.pow(10, power) <= high; power++) {
      for (int digit : few ? new int[] {1, 2, 5} : new int[] {1}) {
        double tick = digit * Math.pow(10, power);
        if (tick >= low && tick <= high) {
          ticks.add(tick);
        }
      }
    }
    return new Axis(low, high, true, ticks.build());
  }

  /** 1, 2 or 5 times a power of ten, at least {@code atLeast}. */
  private static double step(double atLeast) {
    double power = Math.pow(10, Math.floor(Math.log10(atLeast)));
    for (int digit : new int[] {1, 2, 5}) {
      if (digit * power >= atLeast * (1 - 1e-12)) {
        return digit * power;
      }
    }
    return 10 * power;
  }

  /** Where a value lies: 0 at the beginning, 1 at the end. */
  double at(double value) {
    return logarithmic
        ? Math.log(value / from) / Math.log(to / from)
        : (value - from) / (to - from);
  }

  /** A tick as text. */
  static String label(double tick) {
    double size = Math.abs(tick);
    if (size != 0 && (size < 1e-2 || size >= 1e6)) {
      return String.format(Locale.ROOT, "%.0e", tick).replaceFirst("e(-?)[+]?0?", "e$1");
    }
    return new BigDecimal(tick, new MathContext(6)).stripTrailingZeros().toPlainString();
  }
}
