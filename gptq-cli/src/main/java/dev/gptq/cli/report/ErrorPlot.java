package dev.gptq.cli.report;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.cli.report.chart.Chart;
import dev.gptq.cli.report.chart.Picture;
import dev.gptq.cli.report.chart.Series;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** Error against layer, one line a kind of module. */
public final class ErrorPlot {
  /** Colours by kind of module: those of the plots that this study began with. */
  private static final ImmutableMap<String, Integer> COLOURS =
      ImmutableMap.of(
          "k_proj", 0x696969,
          "v_proj", 0xf08080,
          "q_proj", 0xd2691e,
          "o_proj", 0xffd700,
          "up_proj", 0x808000,
          "gate_proj", 0x5f9ea0,
          "down_proj", 0x9400d3);

  /** Colours of other kinds, in turn. */
  private static final ImmutableList<Integer> OTHERS =
      ImmutableList.of(0x1f77b4, 0xd62728, 0x2ca02c, 0xff7f0e, 0x8c564b, 0xe377c2);

  /** What is drawn. */
  public record Style(boolean relative, boolean logarithmic) {
    ToDoubleFunction<LoggedError> value() {
      return relative ? LoggedError::relativeError : LoggedError::error;
    }
  }

  private ErrorPlot() {}

  /** The logs side by side, by title. */
  public static Picture of(Map<String, List<LoggedError>> logs, Style style) {
    ImmutableList.Builder<Chart> charts = ImmutableList.builder();
    logs.forEach((title, errors) -> charts.add(chart(title, errors, style)));
    return new Picture(charts.build());
  }

  private static Chart chart(String title, List<LoggedError> errors, Style style) {
    Map<String, List<LoggedError>> kinds = new LinkedHashMap<>();
    errors.forEach(e -> kinds.computeIfAbsent(e.kind(), kind -> new ArrayList<>()).add(e));
    ImmutableList.Builder<Series> series = ImmutableList.builder();
    int others = 0;
    for (Map.Entry<String, List<LoggedError>> kind : kinds.entrySet()) {
      Integer colour = COLOURS.get(kind.getKey());
      if (colour == null) {
        colour = OTHERS.get(others++ % OTHERS.size());
      }
      double[] layers = kind.getValue().stream().mapToDouble(LoggedError::layer).toArray();
      double[] values = kind.getValue().stream().mapToDouble(style.value()).toArray();
      series.add(Series.of(kind.getKey(), Series.Shape.LINE, layers, values, colour));
    }
    return new Chart(
        title,
        "layer",
        style.relative() ? "relative error" : "error",
        style.logarithmic(),
        series.build(),
        ImmutableList.of());
  }
}
