package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableSet;
import java.util.Locale;
import java.util.function.UnaryOperator;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A text with places for fields of a row: {@code {question}}, {@code {choices.0}} for a part of a
 * field, {@code {question|strip}} without blanks around it, {@code {ctx|capitalize}} with its first
 * letter large and all others small.
 */
record Template(String text) {
  private static final Pattern PLACE = Pattern.compile("\\{([\\w.]+)(?:\\|(strip|capitalize))?}");

  /** The text for a row. */
  String fill(Row row) {
    return PLACE
        .matcher(text)
        .replaceAll(
            place -> Matcher.quoteReplacement(operation(place).apply(row.text(place.group(1)))));
  }

  /** The columns that it reads. */
  ImmutableSet<String> columns() {
    return PLACE
        .matcher(text)
        .results()
        .map(place -> Row.column(place.group(1)))
        .collect(ImmutableSet.toImmutableSet());
  }

  private static UnaryOperator<String> operation(MatchResult place) {
    return switch (place.group(2)) {
      case null -> value -> value;
      case "strip" -> String::strip;
      default -> Template::capitalized;
    };
  }

  private static String capitalized(String value) {
    if (value.isEmpty()) {
      return value;
    }
    int end = value.offsetByCodePoints(0, 1);
    return Character.toString(Character.toTitleCase(value.codePointAt(0)))
        + value.substring(end).toLowerCase(Locale.ROOT);
  }
}
