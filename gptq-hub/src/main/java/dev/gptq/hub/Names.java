package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.regex.Pattern;

/**
 * Names that become files of the cache, whether a person or a server gave them: none may lead out
 * of its folder.
 */
final class Names {
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
  private static final Pattern DIGEST = Pattern.compile("[0-9a-f]{40}|[0-9a-f]{64}");

  private Names() {}

  /** Whether a revision is a whole commit id, which never moves. */
  static boolean isCommit(String revision) {
    return COMMIT.matcher(revision).matches();
  }

  /** A commit id. */
  static String requireCommit(String commit, Repo repo) throws HubException {
    if (!isCommit(commit)) {
      throw new HubException(
          Reason.DAMAGED,
          "the hub gives '%s' as a commit of %s, which is none; is HF_ENDPOINT a hub?"
              .formatted(Text.printable(commit), repo));
    }
    return commit;
  }

  /** A SHA-1 or SHA-256 in hexadecimal digits. */
  static String requireDigest(String digest, String path) throws HubException {
    if (!DIGEST.matcher(digest).matches()) {
      throw new HubException(
          Reason.DAMAGED,
          "the hub gives '%s' as the digest of %s, which is none; is HF_ENDPOINT a hub?"
              .formatted(Text.printable(digest), path));
    }
    return digest;
  }

  /** A branch, a tag or a commit. */
  static String requireRevision(String revision) throws HubException {
    if (!stays(revision)) {
      throw new HubException(
          Reason.INVALID,
          "'%s' is no revision; give a branch, a tag or a commit"
              .formatted(Text.printable(revision)));
    }
    return revision;
  }

  /** A file of a repository; {@code reason} says whether a person or a server named it. */
  static String requirePath(String path, Reason reason) throws HubException {
    if (!stays(path)) {
      throw new HubException(
          reason,
          "'%s' is no file of a repository and is not written".formatted(Text.printable(path)));
    }
    return path;
  }

  /** The file of that name under a folder. */
  static Path under(Path folder, String path) throws HubException {
    try {
      Path file = folder.resolve(path).normalize();
      if (file.startsWith(folder.normalize()) && !file.equals(folder.normalize())) {
        return file;
      }
    } catch (InvalidPathException e) {
      throw new HubException(
          Reason.INVALID,
          "'%s' cannot be the name of a file here".formatted(Text.printable(path)),
          e);
    }
    throw new HubException(
        Reason.INVALID, "'%s' would lie outside of %s".formatted(Text.printable(path), folder));
  }

  /** Whether a relative path with slashes neither climbs nor begins anew, on any system. */
  private static boolean stays(String path) {
    if (path.indexOf('\\') >= 0 || !path.equals(Text.printable(path))) {
      return false;
    }
    for (String part : path.split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..")) {
        return false;
      }
    }
    return true;
  }
}
