package dev.gptq.cli.report.chart;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

final class PictureTest {
  private static final int RED = 0xd62728;
  private static final int BLUE = 0x1f77b4;

  @TempDir private Path folder;

  private static Chart chart(String title, boolean logarithmic, double... values) {
    double[] x = new double[values.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = i;
    }
    return new Chart(
        title,
        "layer",
        "error",
        logarithmic,
        ImmutableList.of(Series.of("line", Series.Shape.LINE, x, values, RED)),
        ImmutableList.of());
  }

  /** The points of the lines of that colour, the legend's left out. */
  private static List<double[]> points(Picture picture, int colour) throws Exception {
    DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
    Document document =
        factory
            .newDocumentBuilder()
            .parse(new ByteArrayInputStream(picture.svg().getBytes(StandardCharsets.UTF_8)));
    NodeList lines = document.getElementsByTagName("polyline");
    List<double[]> points = new ArrayList<>();
    for (int i = 0; i < lines.getLength(); i++) {
      Element line = (Element) lines.item(i);
      List<double[]> own = new ArrayList<>();
      for (String pair : Splitter.on(' ').split(line.getAttribute("points"))) {
        own.add(Splitter.on(',').splitToStream(pair).mapToDouble(Double::parseDouble).toArray());
      }
      boolean inLegend = own.size() == 2 && own.get(0)[1] == own.get(1)[1];
      if (line.getAttribute("stroke").equals("#%06x".formatted(colour)) && !inLegend) {
        points.addAll(own);
      }
    }
    return points;
  }

  @Test
  void chartsSideBySideHaveOneScale() throws Exception {
    Picture picture =
        new Picture(
            ImmutableList.of(chart("a & <b>", false, 1, 3, 2), chart("other", false, 30, 1, 2)));
    List<double[]> points = points(picture, RED);
    assertThat(points).hasSize(6);
    assertThat(points.get(0)[1]).isEqualTo(points.get(4)[1]);
    assertThat(points.get(3)[0] - points.get(0)[0]).isEqualTo(Picture.WIDTH);
    assertThat(points.get(1)[1]).isLessThan(points.get(0)[1]);
    assertThat(picture.svg()).contains("a &amp; &lt;b&gt;");
  }

  @Test
  void logarithmicAxesHaveEqualStepsForEqualFactors() throws Exception {
    List<double[]> points = points(Picture.of(chart("log", true, 1, 10, 0, 100)), RED);
    assertThat(points).as("zero cannot be drawn").hasSize(3);
    double first = points.get(0)[1] - points.get(1)[1];
    double second = points.get(1)[1] - points.get(2)[1];
    assertThat(first).isBetween(second - 0.2, second + 0.2);
  }

  @Test
  void aPngShowsLinesAndBars() throws Exception {
    Chart bars =
        new Chart(
            "bars",
            "weight",
            "count",
            false,
            ImmutableList.of(
                Series.of("", Series.Shape.BARS, new double[] {0, 1}, new double[] {10, 5}, BLUE),
                Series.of(
                    "curve", Series.Shape.DASHES, new double[] {0, 2}, new double[] {0, 10}, RED)),
            ImmutableList.of("a note"));
    Path file = folder.resolve("picture.png");
    Picture.of(bars).write(file);
    BufferedImage image = ImageIO.read(file.toFile());
    int blue = 0;
    int red = 0;
    for (int x = 0; x < image.getWidth(); x++) {
      for (int y = 0; y < image.getHeight(); y++) {
        int rgb = image.getRGB(x, y) & 0xffffff;
        blue += rgb == BLUE ? 1 : 0;
        red += rgb == RED ? 1 : 0;
      }
    }
    // Two bars, 10 and 5 high, fill about a third of 532 x 384 pixels each of their widths.
    assertThat(blue).isGreaterThan(40_000);
    assertThat(red).isGreaterThan(100);
    Path svg = folder.resolve("picture.svg");
    Picture.of(bars).write(svg);
    assertThat(Files.readString(svg)).startsWith("<svg ").contains("stroke-dasharray", "a note");
  }

  @Test
  void nothingToDrawIsSaid() {
    assertThatThrownBy(() -> Picture.of(chart("empty", true, 0, 0)).svg())
        .hasMessageContaining("nothing to draw");
  }

  @Test
  void theLegendMovesOutOfTheWay() {
    ImmutableList<Series> falling =
        ImmutableList.of(
            Series.of(
                "line", Series.Shape.LINE, new double[] {0, 1, 2}, new double[] {9, 8, 0}, RED));
    Legend legend = Legend.of(falling).orElseThrow();
    ImmutableList<Polyline> paths =
        falling.stream()
            .map(s -> Polyline.of(s, false, x -> 100 * x, y -> 200 - 20 * y))
            .collect(ImmutableList.toImmutableList());
    assertThat(legend.corner(paths, 0, 0, 200, 200).x()).isGreaterThan(100);
    assertThat(legend.corner(ImmutableList.of(), 0, 0, 200, 200))
        .isEqualTo(new Legend.Corner(8, 8));
  }

  @Test
  void whereLinesPassThroughAllCornersTheLegendStandsBetweenThem() {
    double[] x = {0, 1, 2, 3, 4};
    ImmutableList<Series> lines =
        ImmutableList.of(
            Series.of("high", Series.Shape.LINE, x, new double[] {9, 9, 9, 9, 9}, RED),
            Series.of("low", Series.Shape.LINE, x, new double[] {1, 1, 1, 1, 1}, RED));
    ImmutableList<Polyline> paths =
        lines.stream()
            .map(s -> Polyline.of(s, false, t -> 50 * t, y -> 200 - 20 * y))
            .collect(ImmutableList.toImmutableList());
    assertThat(Legend.of(lines).orElseThrow().corner(paths, 0, 0, 200, 200).y())
        .isBetween(21.0, 100.0);
  }
}
