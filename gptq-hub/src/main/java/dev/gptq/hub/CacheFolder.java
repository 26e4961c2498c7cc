package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;

/**
 * The part of the cache that holds one repository, laid out as all programs of the hub do: {@code
 * blobs/DIGEST} are the bytes, {@code snapshots/COMMIT/PATH} links to them, {@code refs/REVISION}
 * says which commit a branch or tag was. A link is made after its blob is whole and checked, a ref
 * after all links.
 */
final class CacheFolder {
  private final Path cache;
  private final Path folder;
  private final Repo repo;
  private final boolean links;

  CacheFolder(HubSettings settings, Repo repo) {
    this.cache = settings.cache();
    this.folder = cache.resolve(repo.folder());
    this.repo = repo;
    this.links = settings.links();
  }

  /** Where the bytes of a file lie, or will. */
  Path blob(RemoteFile file) {
    return folder.resolve("blobs").resolve(file.digest());
  }

  /** Where a blob grows. Ends as the hub's own tools end names of what they may clear away. */
  Path partial(RemoteFile file) {
    return folder.resolve("blobs").resolve(file.digest() + ".gptq.incomplete");
  }

  /** What keeps a second process from loading the same blob. */
  Path lock(RemoteFile file) {
    return cache.resolve(".locks").resolve(repo.folder()).resolve(file.digest() + ".lock");
  }

  /** The folder that looks like the repository at a commit. */
  Path snapshot(String commit) {
    return folder.resolve("snapshots").resolve(commit);
  }

  /** The place of a file in a snapshot. */
  Path place(String commit, RemoteFile file) throws HubException {
    return Names.under(snapshot(commit), file.path());
  }

  /** Whether a snapshot holds a file, whole. */
  boolean holds(String commit, RemoteFile file) throws IOException {
    Path place = place(commit, file);
    return Files.isRegularFile(place) && Files.size(place) == file.size();
  }

  /** Whether a blob is there, whole. Who put it there has checked it. */
  boolean hasBlob(RemoteFile file) throws IOException {
    Path blob = blob(file);
    return Files.isRegularFile(blob) && Files.size(blob) == file.size();
  }

  /** Makes a snapshot show a blob; where there are no links, by moving a new blob or copying. */
  void show(String commit, RemoteFile file, boolean isNew) throws IOException {
    Path place = place(commit, file);
    Path blob = blob(file);
    Files.createDirectories(place.getParent());
    Files.deleteIfExists(place);
    if (links) {
      try {
        Files.createSymbolicLink(place, place.getParent().relativize(blob));
        return;
      } catch (UnsupportedOperationException | FileSystemException e) {
        if (Files.isRegularFile(place)) {
          return;
        }
        // A file system or account without links: the layout of the hub's own client then.
      }
    }
    if (isNew) {
      Files.move(blob, place, StandardCopyOption.REPLACE_EXISTING);
    } else {
      Path copy = place.resolveSibling(place.getFileName() + ".gptq.incomplete");
      Files.copy(blob, copy, StandardCopyOption.REPLACE_EXISTING);
      Files.move(copy, place, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  /** The commit that a revision was when it was last loaded. */
  Optional<String> remembered(String revision) throws IOException {
    if (Names.isCommit(revision)) {
      return Optional.of(revision).filter(r -> Files.isDirectory(snapshot(r)));
    }
    Path ref = ref(revision);
    if (!Files.isRegularFile(ref)) {
      return Optional.empty();
    }
    String commit = Files.readString(ref).strip();
    if (!Names.isCommit(commit)) {
      throw new HubException(
          Reason.DAMAGED, ref + " holds no commit; delete it and load the repository again");
    }
    return Optional.of(commit).filter(c -> Files.isDirectory(snapshot(c)));
  }

  /** Remembers which commit a revision is. */
  void remember(String revision, String commit) throws IOException {
    Path ref = ref(revision);
    if (revision.equals(commit)
        || (Files.isRegularFile(ref) && Files.readString(ref).equals(commit))) {
      return;
    }
    Files.createDirectories(ref.getParent());
    Path fresh = Files.createTempFile(ref.getParent(), ref.getFileName().toString(), ".tmp");
    try {
      Files.writeString(fresh, commit);
      Files.move(fresh, ref, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(fresh);
    }
  }

  private Path ref(String revision) throws HubException {
    return Names.under(folder.resolve("refs"), revision);
  }

  /** Bytes that can still be written here. */
  long free() throws IOException {
    Path existing = folder.toAbsolutePath();
    while (!Files.exists(existing, LinkOption.NOFOLLOW_LINKS)) {
      existing = existing.getParent();
    }
    return Files.getFileStore(existing).getUsableSpace();
  }

  /** The folder of the whole cache, for messages. */
  Path root() {
    return cache;
  }
}
