package dev.gptq.cli.report;

import com.google.common.html.HtmlEscapers;
import dev.gptq.cli.console.Table;
import dev.gptq.cli.report.chart.Picture;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A page that needs no other file: its pictures and its style are inside. */
public final class HtmlPage {
  private static final String FILE = "index.html";
  private static final String STYLE =
      """
      body { font: 15px/1.5 "DejaVu Sans", Verdana, sans-serif; margin: 2em auto; max-width: 1320px;
             padding: 0 1em; color: #222; background: #fff; }
      table { border-collapse: collapse; margin: 1em 0; }
      th, td { padding: 2px 10px; border-bottom: 1px solid #ddd; text-align: left; }
      td.number { text-align: right; font-variant-numeric: tabular-nums; }
      .scroll { max-height: 36em; overflow: auto; }
      svg { max-width: 100%; height: auto; }
      """;

  private final StringBuilder body = new StringBuilder();
  private final String title;

  public HtmlPage(String title) {
    this.title = title;
    body.append("<h1>").append(escaped(title)).append("</h1>\n");
  }

  public HtmlPage heading(String text) {
    body.append("<h2>").append(escaped(text)).append("</h2>\n");
    return this;
  }

  public HtmlPage paragraph(String text) {
    body.append("<p>").append(escaped(text)).append("</p>\n");
    return this;
  }

  public HtmlPage picture(Picture picture) {
    body.append("<div>").append(picture.svg()).append("</div>\n");
    return this;
  }

  /** Names and values. */
  public HtmlPage facts(Map<String, String> facts) {
    body.append("<table>\n");
    facts.forEach((name, value) ->
        body.append("<tr><th>")
            .append(escaped(name))
            .append("</th><td>")
            .append(escaped(value))
            .append("</td></tr>\n"));
    body.append("</table>\n");
    return this;
  }

  /** The first row is the header. */
  public HtmlPage table(Table table) {
    body.append("<div class=\"scroll\"><table>\n");
    List<List<String>> rows = table.rows();
    for (int r = 0; r < rows.size(); r++) {
      body.append("<tr>");
      for (String cell : rows.get(r)) {
        String kind = Table.isNumber(cell) ? " class=\"number\"" : "";
        body.append(r == 0 ? "<th>" : "<td" + kind + ">")
            .append(escaped(cell))
            .append(r == 0 ? "</th>" : "</td>");
      }
      body.append("</tr>\n");
    }
    body.append("</table></div>\n");
    return this;
  }

  /** Writes the page into a folder, which is made if it is not there, and returns its path. */
  public Path write(Path folder) throws IOException {
    Files.createDirectories(folder);
    return Files.writeString(
        folder.resolve(FILE),
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>"
            + escaped(title)
            + "</title>\n<style>\n"
            + STYLE
            + "</style>\n</head>\n<body>\n"
            + body
            + "</body>\n</html>\n");
  }

  private static String escaped(String text) {
    return HtmlEscapers.htmlEscaper().escape(text);
  }
}
