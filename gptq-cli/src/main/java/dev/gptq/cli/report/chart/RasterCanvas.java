package dev.gptq.cli.report.chart;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.AffineTransform;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;

/** Draws into an image. */
public final class RasterCanvas implements Canvas {
  private final Graphics2D graphics;

  RasterCanvas(BufferedImage image) {
    this.graphics = image.createGraphics();
    graphics.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    graphics.setRenderingHint(RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
    graphics.setColor(Color.WHITE);
    graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
  }

  /** Gives the graphics' resources back. */
  void dispose() {
    graphics.dispose();
  }

  @Override
  public void rectangle(
      double x, double y, double width, double height, int colour, double opacity) {
    graphics.setColor(new Color(colour | (int) Math.rint(255 * opacity) << 24, true));
    graphics.fill(new Rectangle2D.Double(x, y, width, height));
  }

  @Override
  public void frame(double x, double y, double width, double height, int colour) {
    graphics.setColor(new Color(colour));
    graphics.setStroke(new BasicStroke(1));
    graphics.draw(new Rectangle2D.Double(x, y, width, height));
  }

  @Override
  public void polyline(double[] x, double[] y, int colour, double width, boolean dashed) {
    Path2D path = new Path2D.Double();
    for (int i = 0; i < x.length; i++) {
      if (i == 0) {
        path.moveTo(x[i], y[i]);
      } else {
        path.lineTo(x[i], y[i]);
      }
    }
    graphics.setColor(new Color(colour));
    graphics.setStroke(
        new BasicStroke(
            (float) width,
            BasicStroke.CAP_BUTT,
            BasicStroke.JOIN_ROUND,
            1,
            dashed ? new float[] {6, 4} : null,
            0));
    graphics.draw(path);
  }

  @Override
  public void text(String text, double x, double y, double size, Anchor anchor) {
    graphics.setColor(Color.BLACK);
    graphics.setFont(font(size));
    double shift =
        switch (anchor) {
          case START -> 0;
          case MIDDLE -> 0.5;
          case END -> 1;
        };
    double width = graphics.getFontMetrics().stringWidth(text);
    graphics.drawString(text, (float) (x - shift * width), (float) y);
  }

  @Override
  public void textUpwards(String text, double x, double y, double size) {
    AffineTransform before = graphics.getTransform();
    graphics.translate(x, y);
    graphics.rotate(-Math.PI / 2);
    text(text, 0, 0, size, Anchor.MIDDLE);
    graphics.setTransform(before);
  }

  private static Font font(double size) {
    return new Font(Font.SANS_SERIF, Font.PLAIN, 1).deriveFont((float) size);
  }
}
