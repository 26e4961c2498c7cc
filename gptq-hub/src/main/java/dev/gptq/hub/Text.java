package dev.gptq.hub;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** Text that came from elsewhere, made fit for a terminal or an address. */
final class Text {
  private static final int LONGEST = 300;

  private Text() {}

  /** One line without control characters, which could rewrite a terminal, and not endless. */
  static String printable(String text) {
    String line =
        text.codePoints()
            .map(c -> invisible(c) ? ' ' : c)
            .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
            .toString()
            .strip();
    return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + "…";
  }

  private static boolean invisible(int c) {
    return Character.isISOControl(c) || Character.getType(c) == Character.FORMAT;
  }

  /** A part of an address, in which a slash is no separator. */
  static String encoded(String part) {
    return URLEncoder.encode(part, StandardCharsets.UTF_8).replace("+", "%20");
  }

  /** A path of a file as a part of an address. */
  static String encodedPath(String path) {
    return encoded(path).replace("%2F", "/");
  }

  /** Bytes as people read them. */
  static String size(long bytes) {
    if (bytes < 1000) {
      return bytes + " B";
    }
    double value = bytes;
    int unit = -1;
    while (value >= 999.95) {
      value /= 1000;
      unit++;
    }
    return String.format(Locale.ROOT, "%.1f %sB", value, "kMGTPE".charAt(unit));
  }
}
