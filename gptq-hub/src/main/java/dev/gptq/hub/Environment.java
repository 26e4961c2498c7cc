package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Environment variables, read as the hub's own clients read them. */
final class Environment {
  private static final Set<String> TRUE = Set.of("1", "ON", "YES", "TRUE");

  private final Map<String, String> variables;

  Environment(Map<String, String> variables) {
    this.variables = variables;
  }

  /** The value, if it is set and not blank. */
  Optional<String> get(String name) {
    return Optional.ofNullable(variables.get(name)).map(String::strip).filter(v -> !v.isEmpty());
  }

  /** The value under a name in capitals or in small letters, as with proxies. */
  Optional<String> anyCase(String name) {
    return get(name.toLowerCase(Locale.ROOT)).or(() -> get(name));
  }

  /** Whether the value means yes. */
  boolean on(String name) {
    return get(name).map(v -> TRUE.contains(v.toUpperCase(Locale.ROOT))).orElse(false);
  }

  /** A folder or file, in which a leading tilde is the home folder. */
  Optional<Path> path(String name, Path home) throws HubException {
    Optional<String> value = get(name);
    if (value.isEmpty()) {
      return Optional.empty();
    }
    String text = value.get();
    try {
      if (text.equals("~")) {
        return Optional.of(home);
      }
      return Optional.of(
          text.startsWith("~/") ? home.resolve(text.substring(2)) : Path.of(text).toAbsolutePath());
    } catch (InvalidPathException e) {
      throw new HubException(
          Reason.INVALID, "%s is no path: %s".formatted(name, Text.printable(text)), e);
    }
  }

  /** Whole seconds, at least one. */
  Duration seconds(String name, int otherwise) throws HubException {
    Optional<String> value = get(name);
    if (value.isEmpty()) {
      return Duration.ofSeconds(otherwise);
    }
    if (!value.get().matches("[1-9][0-9]{0,5}")) {
      throw new HubException(
          Reason.INVALID,
          "%s must be a number of seconds but is '%s'"
              .formatted(name, Text.printable(value.get())));
    }
    return Duration.ofSeconds(Integer.parseInt(value.get()));
  }
}
