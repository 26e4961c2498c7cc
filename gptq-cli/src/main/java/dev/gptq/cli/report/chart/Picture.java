package dev.gptq.cli.report.chart;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableList;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.imageio.ImageIO;

/**
 * Charts side by side with the same vertical axis, so that heights can be compared. Needs no
 * display.
 *
 * @param charts from left to right
 */
public record Picture(ImmutableList<Chart> charts) {
  /** Width of one chart in pixels. */
  public static final int WIDTH = 640;

  /** Height in pixels. */
  public static final int HEIGHT = 480;

  /** Checks that there is a chart. */
  public Picture {
    Preconditions.checkArgument(!charts.isEmpty(), "a picture needs a chart");
  }

  /** One chart. */
  public static Picture of(Chart chart) {
    return new Picture(ImmutableList.of(chart));
  }

  /** Whether {@link #write} knows the ending of the file's name. */
  public static boolean canWrite(Path file) {
    return file.toString().endsWith(".png") || file.toString().endsWith(".svg");
  }

  /** Writes a PNG or an SVG, as the ending of the name says. */
  public void write(Path file) throws IOException {
    if (file.toString().endsWith(".svg")) {
      Files.writeString(file, svg());
    } else {
      ImageIO.write(png(), "png", file.toFile());
    }
  }

  /** As an SVG document. */
  public String svg() {
    SvgCanvas canvas = new SvgCanvas(WIDTH * charts.size(), HEIGHT);
    canvas.rectangle(0, 0, WIDTH * charts.size(), HEIGHT, 0xffffff, 1);
    draw(canvas);
    return canvas.document();
  }

  private BufferedImage png() {
    BufferedImage image =
        new BufferedImage(WIDTH * charts.size(), HEIGHT, BufferedImage.TYPE_INT_RGB);
    RasterCanvas canvas = new RasterCanvas(image);
    draw(canvas);
    canvas.dispose();
    return image;
  }

  private void draw(Canvas canvas) {
    Axis vertical = Chart.common(charts);
    for (int i = 0; i < charts.size(); i++) {
      charts.get(i).draw(canvas, vertical, (double) WIDTH * i, 0, WIDTH, HEIGHT);
    }
  }
}
