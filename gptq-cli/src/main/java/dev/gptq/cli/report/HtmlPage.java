package dev.gptq.cli.report;

import com.google.common.html.HtmlEscapers;
import dev.gptq.cli.console.Table;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.OutputPlace;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** A page that needs no other file and no network: its style and its charts are inside. */
public final class HtmlPage {
  private static final String FILE = "index.html";
  private static final String MAKER = "<meta name=\"generator\" content=\"gptq-java\">";

  private final StringBuilder body = new StringBuilder();
  private final String title;
  private boolean charts;

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

  /** Text as it was typed. */
  public HtmlPage code(String text) {
    body.append("<pre><code>").append(escaped(text)).append("</code></pre>\n");
    return this;
  }

  /** A chart of what {@link ErrorChart} makes. */
  HtmlPage chart(ArrayNode data) {
    return drawn("chart", data);
  }

  /** Curves of what {@link TuningReport} makes. */
  HtmlPage curves(ObjectNode data) {
    return drawn("curves", data);
  }

  private HtmlPage drawn(String kind, JsonNode data) {
    charts = true;
    // Inside a script nothing is escaped; no name may end it.
    String json = data.toString().replace("<", "\\u003c");
    body.append("<div class=\"")
        .append(kind)
        .append("\"><script type=\"application/json\">")
        .append(json)
        .append("</script></div>\n");
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

  /**
   * Throws, before the work begins, if a page may or can not be written there: where the folder is
   * what is read or lies in it, or has a page that this program has not written.
   */
  public static void requirePlace(Path folder, Iterable<Path> sources) throws IOException {
    OutputPlace.requireApart(folder, sources);
    Path page = folder.resolve(FILE);
    if (Files.exists(page) && !Files.readString(page).contains(MAKER)) {
      throw new BadInputException(
          page + " was not written by this program and is not replaced; give another folder");
    }
    Path existing = folder.toAbsolutePath().normalize();
    while (!Files.exists(existing)) {
      existing = existing.getParent();
    }
    if (!Files.isDirectory(existing)) {
      throw new BadInputException(existing + " is a file; give a folder for the report");
    }
    if (!Files.isWritable(existing)) {
      throw new AccessDeniedException(existing.toString());
    }
  }

  /** Writes the page into a folder, which is made if it is not there, and returns its path. */
  public Path write(Path folder) throws IOException {
    Files.createDirectories(folder);
    String style = PageFiles.style() + (charts ? PageFiles.chartStyle() : "");
    String script = charts ? "<script>\n" + PageFiles.chartScript() + "</script>\n" : "";
    return Files.writeString(
        folder.resolve(FILE),
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            + MAKER
            + "\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>"
            + escaped(title)
            + "</title>\n<style>\n"
            + style
            + "</style>\n</head>\n<body>\n"
            + body
            + script
            + "</body>\n</html>\n");
  }

  private static String escaped(String text) {
    return HtmlEscapers.htmlEscaper().escape(text);
  }
}
