package dev.gptq.cli.options;

import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a regular expression; what is none is refused in one line. */
public final class RegexConverter implements ITypeConverter<Pattern> {
  @Override
  public Pattern convert(String value) {
    try {
      return Pattern.compile(value);
    } catch (PatternSyntaxException e) {
      throw new TypeConversionException(
          "'%s' is no regular expression (%s at character %d)"
              .formatted(value, e.getDescription(), e.getIndex() + 1));
    }
  }
}
