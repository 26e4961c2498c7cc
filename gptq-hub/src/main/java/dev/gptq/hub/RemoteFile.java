package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;

/**
 * A file of a repository at a commit.
 *
 * @param path its path, with slashes
 * @param size bytes
 * @param digest what its bytes must hash to: SHA-256 (64 digits) for those in large-file storage,
 *     else the id that git gives it (40 digits); the name of its blob in the cache too
 */
public record RemoteFile(String path, long size, String digest) {
  /** Checks all three, as they come from a server. */
  static RemoteFile of(String path, long size, String digest) throws HubException {
    Names.requirePath(path, Reason.DAMAGED);
    if (size < 0) {
      throw new HubException(
          Reason.DAMAGED, "the hub says that %s has %d bytes".formatted(path, size));
    }
    return new RemoteFile(path, size, Names.requireDigest(digest, path));
  }

  /** Whether it lies in large-file storage. */
  public boolean large() {
    return digest.length() == 64;
  }

  /** The last part of its path. */
  String name() {
    return path.substring(path.lastIndexOf('/') + 1);
  }
}
