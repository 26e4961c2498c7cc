package dev.gptq.cli;

import com.google.common.collect.ImmutableMap;
import dev.gptq.models.pipeline.ModuleReport;
import java.awt.Color;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Error against layer, one line a kind of module. */
final class ErrorPlot {
  private static final int WIDTH = 640;
  private static final int HEIGHT = 480;

  /** Colours by the last part of a module's name; other modules get those of the library. */
  private static final ImmutableMap<String, Color> COLOURS =
      ImmutableMap.of(
          "k_proj", new Color(0x696969),
          "v_proj", new Color(0xf08080),
          "q_proj", new Color(0xd2691e),
          "o_proj", new Color(0xffd700),
          "up_proj", new Color(0x808000),
          "gate_proj", new Color(0x5f9ea0),
          "down_proj", new Color(0x9400d3));

  /** What is drawn. */
  record Style(boolean relative, boolean logarithmic) {
    ToDoubleFunction<ModuleReport> value() {
      return relative ? ModuleReport::relativeError : ModuleReport::error;
    }
  }

  private ErrorPlot() {}

  /** Draws the logs side by side into one PNG. */
  static void write(Map<String, List<ModuleReport>> logs, Style style, Path file)
      throws IOException {
    List<XYChart> charts = new ArrayList<>();
    logs.forEach((title, log) -> charts.add(chart(title, log, style)));
    try (OutputStream out = Files.newOutputStream(file)) {
      BitmapEncoder.saveBitmap(charts, 1, charts.size(), out, BitmapFormat.PNG);
    }
  }

  private static XYChart chart(String title, List<ModuleReport> log, Style style) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle("layer")
            .yAxisTitle(style.relative() ? "relative error" : "error")
            .build();
    chart.getStyler().setLegendPosition(LegendPosition.InsideNW);
    chart.getStyler().setYAxisLogarithmic(style.logarithmic());
    Map<String, List<ModuleReport>> kinds = new LinkedHashMap<>();
    for (ModuleReport report : log) {
      kinds.computeIfAbsent(kind(report), kind -> new ArrayList<>()).add(report);
    }
    kinds.forEach((kind, reports) -> {
      double[] layers = reports.stream().mapToDouble(ModuleReport::layer).toArray();
      double[] errors = reports.stream().mapToDouble(style.value()).toArray();
      XYSeries series = chart.addSeries(kind, layers, errors);
      series.setMarker(SeriesMarkers.NONE);
      if (COLOURS.containsKey(kind)) {
        series.setLineColor(COLOURS.get(kind));
      }
    });
    return chart;
  }

  private static String kind(ModuleReport report) {
    return report.module().substring(report.module().lastIndexOf('.') + 1);
  }
}
