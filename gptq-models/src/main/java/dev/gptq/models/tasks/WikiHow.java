package dev.gptq.models.tasks;

import java.util.regex.Pattern;

/** Takes out what was left of the pages' markup in HellaSwag. */
final class WikiHow {
  /** Marks such as {@code [header]}, which do not span lines. */
  private static final Pattern MARK = Pattern.compile("\\[.*?]", Pattern.UNIX_LINES);

  private WikiHow() {}

  static String cleaned(String text) {
    String sentences = text.strip().replace(" [title]", ". ");
    return MARK.matcher(sentences).replaceAll("").replace("  ", " ");
  }
}
