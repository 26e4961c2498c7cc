package dev.gptq.models.chat;

import dev.gptq.formats.BadInputException;
import java.time.LocalDate;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Dates in the format of C's strftime. */
final class Dates {
  private Dates() {}

  static String format(String format, LocalDate date) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        text.append(c);
        continue;
      }
      boolean bare = format.charAt(i + 1) == '-' && i + 2 < format.length();
      i += bare ? 2 : 1;
      text.append(field(format.charAt(i), bare, date));
    }
    return text.toString();
  }

  private static String field(char field, boolean bare, LocalDate date) {
    String pattern =
        switch (field) {
          case 'd' -> bare ? "d" : "dd";
          case 'm' -> bare ? "M" : "MM";
          case 'y' -> "yy";
          case 'Y' -> "yyyy";
          case 'b' -> "MMM";
          case 'B' -> "MMMM";
          case 'a' -> "EEE";
          case 'A' -> "EEEE";
          // A date has no time of day.
          case 'H', 'M', 'S' -> "'00'";
          case '%' -> "'%'";
          default ->
              throw new BadInputException(
                  "the chat template asks for the date as %" + field + ", which is not supported");
        };
    return DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH).format(date);
  }
}
