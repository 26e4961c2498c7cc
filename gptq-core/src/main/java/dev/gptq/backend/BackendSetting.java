package dev.gptq.backend;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import java.util.function.Predicate;

/**
 * A setting that a backend understands.
 *
 * @param name its key in {@link BackendOptions#settings}, such as {@code cuda.home}
 * @param values what may be given, for people
 * @param accepts whether a value may be given
 */
public record BackendSetting(String name, String values, Predicate<String> accepts) {

  /** A setting with a few values. */
  public static BackendSetting oneOf(String name, String... values) {
    ImmutableList<String> known = ImmutableList.copyOf(values);
    return new BackendSetting(name, "one of " + String.join(", ", known), known::contains);
  }

  /** A positive number. */
  public static BackendSetting positive(String name) {
    return new BackendSetting(
        name,
        "a positive number",
        text -> {
          Integer value = Ints.tryParse(text);
          return value != null && value > 0;
        });
  }

  /** A folder, or anything else that is not empty. */
  public static BackendSetting text(String name, String what) {
    return new BackendSetting(name, what, text -> !text.isBlank());
  }
}
