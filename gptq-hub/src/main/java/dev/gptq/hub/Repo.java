package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.util.regex.Pattern;

/**
 * A repository.
 *
 * @param kind what it holds
 * @param id {@code owner/name}, or a name alone for a few old ones
 */
public record Repo(RepoKind kind, String id) {
  private static final int LONGEST = 96;
  private static final Pattern PART = Pattern.compile("\\w(?:[\\w.-]*\\w)?");

  /** Checks the name by the hub's own rules. */
  public static Repo of(RepoKind kind, String id) throws HubException {
    String[] parts = id.split("/", -1);
    boolean valid = parts.length <= 2 && !id.contains("--") && !id.contains("..");
    for (String part : parts) {
      valid &= part.length() <= LONGEST && PART.matcher(part).matches();
    }
    if (!valid || id.endsWith(".git")) {
      throw new HubException(
          Reason.INVALID,
          ("'%s' is no name of a %s; names look like owner/name and hold letters, digits, '-', '_' and"
                  + " '.'")
              .formatted(Text.printable(id), kind.noun()));
    }
    return new Repo(kind, id);
  }

  /** The folder of the cache that holds it. */
  String folder() {
    return kind.plural() + "--" + id.replace("/", "--");
  }

  /** The path of its page, without a slash before it. */
  String page() {
    return kind.webPrefix() + id;
  }

  /** The path of its part of the API. */
  String api() {
    return "api/" + kind.plural() + "/" + id;
  }

  /** The owner, or nothing. */
  String owner() {
    return id.contains("/") ? id.substring(0, id.indexOf('/')) : "";
  }

  /** The name without its owner. */
  String name() {
    return id.substring(id.indexOf('/') + 1);
  }

  @Override
  public String toString() {
    return page();
  }
}
