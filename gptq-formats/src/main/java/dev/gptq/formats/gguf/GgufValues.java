package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;

/**
 * The entries of a GGUF file that was read. Errors name the file, the key and what was expected.
 */
public final class GgufValues {
  private final Path file;
  private final ImmutableMap<String, Object> values;

  GgufValues(Path file, ImmutableMap<String, Object> values) {
    this.file = file;
    this.values = values;
  }

  /** The file that was read. */
  public Path file() {
    return file;
  }

  /** All keys in the order of the file. */
  public ImmutableSet<String> keys() {
    return values.keySet();
  }

  /** The text under a key, if there is one. */
  public Optional<String> text(String key) {
    return value(key, String.class, "a text");
  }

  /** The truth value under a key, if there is one. */
  public Optional<Boolean> truth(String key) {
    return value(key, Boolean.class, "true or false");
  }

  /** The number under a key, if there is one. */
  public Optional<Number> number(String key) {
    return value(key, Number.class, "a number");
  }

  /** The integer under a key, if there is one. */
  public Optional<Integer> integer(String key) {
    Optional<Number> number = number(key);
    return number.map(value -> {
      if (!(value instanceof Long whole) || whole < 0 || whole > Integer.MAX_VALUE) {
        throw wrong(key, "a natural number", value);
      }
      return whole.intValue();
    });
  }

  /** The texts of a list under a key, if there is one. */
  public Optional<ImmutableList<String>> texts(String key) {
    return list(key, "a list of texts", GgufArray::texts);
  }

  /** The numbers of a list under a key, if there is one; truth values are none. */
  public Optional<ImmutableList<Number>> numbers(String key) {
    return list(key, "a list of numbers", GgufArray::numbers);
  }

  /** The truth values of a list under a key, if there is one. */
  public Optional<ImmutableList<Boolean>> truths(String key) {
    return list(key, "a list of truth values", GgufArray::truths);
  }

  /** Whether there is a list under a key. */
  public boolean isList(String key) {
    return values.get(key) instanceof GgufArray;
  }

  private <T> Optional<T> list(
      String key, String expected, Function<GgufArray, Optional<T>> elements) {
    return value(key, GgufArray.class, expected)
        .map(array -> elements.apply(array).orElseThrow(() -> wrong(key, expected, array)));
  }

  private <T> Optional<T> value(String key, Class<T> type, String expected) {
    Object value = values.get(key);
    if (value != null && !type.isInstance(value)) {
      throw wrong(key, expected, value);
    }
    return Optional.ofNullable(value).map(type::cast);
  }

  private BadInputException wrong(String key, String expected, Object found) {
    String text = found.toString();
    return new BadInputException(
        "%s: '%s' should be %s but is %s"
            .formatted(
                file, key, expected, text.length() > 100 ? text.substring(0, 100) + "…" : text));
  }
}
