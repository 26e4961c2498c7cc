package dev.gptq.models.chat;

import com.google.common.collect.ImmutableSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Writes what Jinja 2 allows and Jinjava does not, or reads otherwise, in words that mean the same
 * to both: parentheses around the values of named arguments, {@code |reverse|list} for a reversed
 * slice, {@code not (x is y)}. Only what stands in tags is touched.
 */
final class JinjaDialect {
  private static final Pattern REVERSED = Pattern.compile("\\[\\s*::\\s*-1\\s*]");
  private static final Pattern NEGATED_TEST =
      Pattern.compile("\\bnot\\s+([\\w.]+)\\s+is\\s+(not\\s+)?(\\w+)");
  private static final Pattern NAMESPACE = Pattern.compile("\\bnamespace\\s*\\(");

  private static final Pattern FILTER = Pattern.compile("(?<!\\|)\\|\\s*([a-z_]\\w*)");
  private static final Pattern TEST = Pattern.compile("\\bis\\s+(?:not\\s+)?([a-z_]\\w*)");

  private final String template;
  private final ImmutableSet.Builder<String> filters = ImmutableSet.builder();
  private final ImmutableSet.Builder<String> tests = ImmutableSet.builder();
  private final StringBuilder result = new StringBuilder();

  private JinjaDialect(String template) {
    this.template = template;
  }

  /** A template; like Jinja, without the line end behind it. */
  static JinjaDialect of(String template) {
    JinjaDialect dialect =
        new JinjaDialect(
            template.endsWith("\n") ? template.substring(0, template.length() - 1) : template);
    dialect.run();
    return dialect;
  }

  /** The template in words that mean the same to both. */
  String text() {
    return result.toString();
  }

  /** The filters that it calls. */
  ImmutableSet<String> filters() {
    return filters.build();
  }

  /** The tests that it makes with {@code is}. */
  ImmutableSet<String> tests() {
    return tests.build();
  }

  private void run() {
    int at = 0;
    while (at < template.length()) {
      int end = at + 1;
      if (template.startsWith("{#", at)) {
        int close = template.indexOf("#}", at);
        end = close < 0 ? template.length() : close + 2;
        result.append(template, at, end);
      } else if (template.startsWith("{%", at)) {
        end = endOfTag(at, "%}");
        result.append(tag(template.substring(at, end)));
      } else if (template.startsWith("{{", at)) {
        end = endOfTag(at, "}}");
        result.append(tag(template.substring(at, end)));
      } else {
        result.append(template.charAt(at));
      }
      at = end;
    }
  }

  private int endOfTag(int at, String close) {
    int i = at + 2;
    while (i < template.length()) {
      if (template.startsWith(close, i)) {
        return i + close.length();
      }
      i = skip(template, i);
    }
    return template.length();
  }

  /** The index behind a quoted text that begins there, or behind the character. */
  private static int skip(String text, int at) {
    char quote = text.charAt(at);
    if (quote != '"' && quote != '\'') {
      return at + 1;
    }
    int i = at + 1;
    while (i < text.length() && text.charAt(i) != quote) {
      i += text.charAt(i) == '\\' ? 2 : 1;
    }
    return Math.min(i + 1, text.length());
  }

  private String tag(String tag) {
    StringBuilder plain = new StringBuilder();
    int begin = 0;
    int i = 0;
    while (i < tag.length()) {
      int next = skip(tag, i);
      if (next > i + 1) {
        plain.append(code(tag.substring(begin, i))).append(tag, i, next);
        begin = next;
      }
      i = next;
    }
    return named(plain.append(code(tag.substring(begin))).toString());
  }

  /** What stands between quoted texts. */
  private String code(String code) {
    FILTER.matcher(code).results().forEach(match -> filters.add(match.group(1)));
    TEST.matcher(code).results().forEach(match -> tests.add(match.group(1)));
    String plain = REVERSED.matcher(code).replaceAll("|reverse|list");
    return NEGATED_TEST.matcher(plain).replaceAll("not ($1 is $2$3)");
  }

  private static String named(String tag) {
    Matcher call = NAMESPACE.matcher(tag);
    StringBuilder result = new StringBuilder();
    int at = 0;
    while (call.find(at)) {
      result.append(tag, at, call.end());
      at = arguments(tag, call.end(), result);
    }
    return result.append(tag.substring(at)).toString();
  }

  /** Appends the arguments up to the closing parenthesis and returns the index behind it. */
  private static int arguments(String text, int from, StringBuilder result) {
    int depth = 0;
    int begin = from;
    int equals = -1;
    int i = from;
    while (i < text.length()) {
      char c = text.charAt(i);
      if (depth == 0 && (c == ',' || c == ')')) {
        argument(text, begin, equals, i, result);
        result.append(c);
        if (c == ')') {
          return i + 1;
        }
        begin = i + 1;
        equals = -1;
      } else if ("([{".indexOf(c) >= 0) {
        depth++;
      } else if (")]}".indexOf(c) >= 0) {
        depth--;
      } else if (depth == 0 && c == '=' && equals < 0) {
        equals = i;
      }
      i = skip(text, i);
    }
    result.append(text, begin, text.length());
    return text.length();
  }

  private static void argument(String text, int begin, int equals, int end, StringBuilder result) {
    if (equals < 0) {
      result.append(text, begin, end);
    } else {
      result.append(text, begin, equals + 1).append('(');
      result.append(text.substring(equals + 1, end).strip()).append(')');
    }
  }
}
