package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a person types to name something on the hub: {@code [hf:]owner/name[@revision][/path]}, with
 * {@code models/} or {@code datasets/} before the owner where the kind is not the expected one. A
 * slash in a revision is written {@code %2F}, except in {@code refs/pr/N} and {@code
 * refs/convert/NAME}.
 *
 * @param repo the repository
 * @param revision a branch, a tag or a commit
 * @param path a file in it, or nothing
 */
public record HubReference(Repo repo, String revision, String path) {
  /** The revision that is meant where none is given. */
  public static final String MAIN = "main";

  private static final String SCHEME = "hf:";
  private static final Pattern FORM =
      Pattern.compile(
          "(?<id>[^/@]+(?:/[^/@]+)?)"
              + "(?:@(?<revision>refs/(?:pr|convert)/[^/]+|[^/]*))?"
              + "(?:/(?<path>.*))?",
          Pattern.DOTALL);
  private static final Pattern BARE = Pattern.compile("[\\w-][\\w.-]*/[\\w.-]*\\w(?:@[\\w.%/-]+)?");

  /** Whether a text says by its beginning that it names something on the hub. */
  public static boolean isMarked(String text) {
    return text.startsWith(SCHEME);
  }

  /** Whether a text without a mark has the form {@code owner/name[@revision]}. */
  public static boolean isBareName(String text) {
    return BARE.matcher(text).matches();
  }

  /** Reads a reference, marked or not, to something of the kind that is expected. */
  public static HubReference parse(String text, RepoKind expected) throws HubException {
    String rest = text;
    if (isMarked(rest)) {
      rest = rest.substring(SCHEME.length());
      rest = rest.startsWith("//") ? rest.substring(2) : rest;
    }
    RepoKind kind = expected;
    for (RepoKind named : RepoKind.values()) {
      if (rest.startsWith(named.plural() + "/")) {
        kind = named;
        rest = rest.substring(named.plural().length() + 1);
        break;
      }
    }
    Matcher form = FORM.matcher(rest);
    if (!form.matches()) {
      throw new HubException(
          Reason.INVALID,
          "'%s' names nothing on the hub; write hf:owner/name, with @revision and /file where needed"
              .formatted(Text.printable(text)));
    }
    String path = form.group("path") == null ? "" : form.group("path");
    String revision = form.group("revision");
    return new HubReference(
        Repo.of(kind, form.group("id")),
        revision == null ? MAIN : Names.requireRevision(decoded(revision)),
        path.isEmpty() ? "" : Names.requirePath(path, Reason.INVALID));
  }

  private static String decoded(String revision) throws HubException {
    try {
      return URLDecoder.decode(revision.replace("+", "%2B"), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      throw new HubException(
          Reason.INVALID,
          "'%s' is no revision: a percent sign must begin an escape such as %%2F"
              .formatted(Text.printable(revision)),
          e);
    }
  }

  @Override
  public String toString() {
    return repo
        + (revision.equals(MAIN) ? "" : "@" + revision)
        + (path.isEmpty() ? "" : "/" + path);
  }
}
