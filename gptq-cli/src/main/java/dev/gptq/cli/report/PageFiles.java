package dev.gptq.cli.report;

import com.google.common.io.Resources;
import java.io.IOException;
import java.net.URL;
import java.nio.charset.StandardCharsets;

/** What pages have inside: their style, and what draws their charts. */
final class PageFiles {
  /** uPlot's jar; its version is that of the pom. */
  private static final String UPLOT = "META-INF/resources/webjars/uplot/1.6.30/";

  private PageFiles() {}

  /** The style of all pages. */
  static String style() throws IOException {
    return read(Resources.getResource(PageFiles.class, "page.css"));
  }

  /** The style of charts. */
  static String chartStyle() throws IOException {
    return read(Resources.getResource(UPLOT + "dist/uPlot.min.css"));
  }

  /** uPlot with its licence, and the script that draws the charts of the page before it. */
  static String chartScript() throws IOException {
    return "/*\n"
        + read(Resources.getResource(UPLOT + "LICENSE"))
        + "*/\n"
        + read(Resources.getResource(UPLOT + "dist/uPlot.iife.min.js"))
        + "\n"
        + read(Resources.getResource(PageFiles.class, "chart.js"))
        + read(Resources.getResource(PageFiles.class, "curves.js"));
  }

  private static String read(URL file) throws IOException {
    return Resources.toString(file, StandardCharsets.UTF_8);
  }
}
