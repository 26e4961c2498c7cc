package dev.gptq.cli.report.chart;

import com.google.common.xml.XmlEscapers;
import java.util.Locale;

/** Draws into an SVG document. */
public final class SvgCanvas implements Canvas {
  private final StringBuilder svg = new StringBuilder();

  SvgCanvas(int width, int height) {
    append(
        String.format(
            Locale.ROOT,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d"
                + " %d\" font-family=\"DejaVu Sans, Verdana, sans-serif\">",
            width,
            height,
            width,
            height));
  }

  /** The whole document. */
  String document() {
    return svg + "</svg>\n";
  }

  private void append(String element) {
    svg.append(element).append('\n');
  }

  @Override
  public void rectangle(
      double x, double y, double width, double height, int colour, double opacity) {
    append(
        String.format(
            Locale.ROOT,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#%06x\""
                + " fill-opacity=\"%.2f\"/>",
            x,
            y,
            width,
            height,
            colour,
            opacity));
  }

  @Override
  public void frame(double x, double y, double width, double height, int colour) {
    append(
        String.format(
            Locale.ROOT,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\""
                + " stroke=\"#%06x\"/>",
            x,
            y,
            width,
            height,
            colour));
  }

  @Override
  public void polyline(double[] x, double[] y, int colour, double width, boolean dashed) {
    StringBuilder points = new StringBuilder();
    for (int i = 0; i < x.length; i++) {
      points.append(String.format(Locale.ROOT, "%s%.1f,%.1f", i == 0 ? "" : " ", x[i], y[i]));
    }
    append(
        String.format(
            Locale.ROOT,
            "<polyline points=\"%s\" fill=\"none\" stroke=\"#%06x\" stroke-width=\"%.1f\""
                + " stroke-linejoin=\"round\"%s/>",
            points,
            colour,
            width,
            dashed ? " stroke-dasharray=\"6 4\"" : ""));
  }

  @Override
  public void text(String text, double x, double y, double size, Anchor anchor) {
    append(
        String.format(
            Locale.ROOT,
            "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.0f\" text-anchor=\"%s\">%s</text>",
            x,
            y,
            size,
            anchor.name().toLowerCase(Locale.ROOT),
            XmlEscapers.xmlContentEscaper().escape(text)));
  }

  @Override
  public void textUpwards(String text, double x, double y, double size) {
    append(
        String.format(
            Locale.ROOT,
            "<text transform=\"translate(%.1f %.1f) rotate(-90)\" font-size=\"%.0f\""
                + " text-anchor=\"middle\">%s</text>",
            x,
            y,
            size,
            XmlEscapers.xmlContentEscaper().escape(text)));
  }
}
