package dev.gptq.formats.safetensors;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.DurableFiles;
import dev.gptq.formats.FileFailure;
import dev.gptq.formats.FileHold;
import dev.gptq.formats.OutputPlace;
import dev.gptq.formats.OutputPlaceException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.stream.Stream;

/**
 * A hidden folder beside the final one, in which output grows until it is whole: {@code
 * .NAME.partial}. {@link #commit} renames it; until then nothing stands under the final name, and
 * what stood there before stays. A lock keeps a second process out; what a killed process left is
 * cleared away by the next one. Nothing is deleted that this program has not written.
 */
final class StagingFolder implements AutoCloseable {
  private static final String LOCK = ".lock";

  private final Path target;
  private final Path staging;
  private final Path retired;
  private final WriterOptions options;
  private final FileHold lock;
  private boolean open = true;

  private StagingFolder(
      Path target, Path staging, Path retired, WriterOptions options, FileHold lock) {
    this.target = target;
    this.staging = staging;
    this.retired = retired;
    this.options = options;
    this.lock = lock;
  }

  /** Prepares output to {@code folder}, whose parents are created. */
  static StagingFolder create(Path folder, WriterOptions options) throws IOException {
    Path target = folder.toAbsolutePath().normalize();
    if (Files.exists(target)) {
      target = target.toRealPath();
    } else if (Files.isSymbolicLink(target)) {
      throw new OutputPlaceException(
          "the output %s is a link to %s, which does not exist; make that folder, or remove the link"
              .formatted(folder, Files.readSymbolicLink(target)));
    }
    if (target.getFileName() == null) {
      throw new BadInputException(folder + " cannot be an output folder; give one inside it");
    }
    OutputPlace.requireApart(target, options.sources());
    Path staging = unfinished(target);
    Path retired = target.resolveSibling("." + target.getFileName() + ".replaced");
    if (Files.exists(target)) {
      requireReplaceable(target, options);
    }
    requireOwn(staging, options);
    Files.createDirectories(staging);
    FileHold lock = lock(staging, target);
    boolean ready = false;
    try {
      recover(target, retired, options);
      if (Files.exists(target)) {
        requireReplaceable(target, options);
        requireMovable(target, retired);
      }
      clear(staging);
      ready = true;
      return new StagingFolder(target, staging, retired, options, lock);
    } finally {
      if (!ready) {
        lock.close();
        MoreFiles.deleteRecursively(staging, RecursiveDeleteOption.ALLOW_INSECURE);
      }
    }
  }

  /** Where output to a folder grows. */
  static Path unfinished(Path target) {
    return target.resolveSibling("." + target.getFileName() + ".partial");
  }

  private static void requireReplaceable(Path target, WriterOptions options) throws IOException {
    if (!Files.isDirectory(target)) {
      throw new BadInputException(target + " is a file; give another output folder");
    }
    try (Stream<Path> entries = Files.list(target)) {
      if (entries.findAny().isEmpty()) {
        return;
      }
    }
    if (!options.overwrite()) {
      throw new BadInputException(
          target + " exists and is not empty; give another output folder or allow overwriting");
    }
    new OldOutput(target, options.sideFiles()).requireReplaceable();
  }

  /** What a killed writer left has its lock; a folder of the same name without one is another's. */
  private static void requireOwn(Path staging, WriterOptions options) throws IOException {
    if (!Files.exists(staging, LinkOption.NOFOLLOW_LINKS)
        || Files.exists(staging.resolve(LOCK), LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    // One that was killed while it renamed the whole has only what it wrote.
    if (Files.isDirectory(staging, LinkOption.NOFOLLOW_LINKS)
        && new OldOutput(staging, options.sideFiles()).isKnown()) {
      return;
    }
    throw new BadInputException(
        "%s is in the way and was not made by this program; move it, or give another output folder"
            .formatted(staging));
  }

  /**
   * Mends what a run left that was killed while it replaced the target: before the new folder had
   * the name, the old one gets it back; after that, the old one is deleted.
   */
  private static void recover(Path target, Path retired, WriterOptions options) throws IOException {
    if (!Files.exists(retired, LinkOption.NOFOLLOW_LINKS)) {
      return;
    }
    if (!Files.exists(target)) {
      Files.move(retired, target, StandardCopyOption.ATOMIC_MOVE);
      return;
    }
    if (!options.overwrite()) {
      throw new BadInputException(
          "%s is left of an earlier run that was interrupted while replacing %s; allow overwriting,"
                  .formatted(retired, target)
              + " move or delete it");
    }
    OldOutput old = new OldOutput(retired, options.sideFiles());
    old.requireReplaceable();
    old.delete();
  }

  /** Renames and renames back, because a mount point would only fail after all the work. */
  private static void requireMovable(Path target, Path elsewhere) throws IOException {
    try {
      Files.move(target, elsewhere, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new BadInputException(
          "%s cannot be replaced (%s); if it is a mount point, give a folder inside it"
              .formatted(target, FileFailure.reason(e)),
          e);
    }
    Files.move(elsewhere, target, StandardCopyOption.ATOMIC_MOVE);
  }

  private static FileHold lock(Path staging, Path target) throws IOException {
    return FileHold.take(staging.resolve(LOCK))
        .orElseThrow(() ->
            new BadInputException(
                "%s is being written already; wait for it or give another output folder"
                    .formatted(target)));
  }

  private static void clear(Path staging) throws IOException {
    try (Stream<Path> entries = Files.list(staging)) {
      for (Path entry : (Iterable<Path>) entries::iterator) {
        if (!entry.endsWith(LOCK)) {
          MoreFiles.deleteRecursively(entry, RecursiveDeleteOption.ALLOW_INSECURE);
        }
      }
    }
  }

  /** Where to write. */
  Path path() {
    return staging;
  }

  /**
   * Gives the folder its final name, which holds after the power has failed, too: the disk has the
   * names in it first, then its own. What stood there before is deleted last.
   */
  void commit() throws IOException {
    boolean replaces = Files.exists(target);
    if (replaces) {
      // Again, because the work may have taken hours in which files came here.
      requireReplaceable(target, options);
    }
    Files.delete(staging.resolve(LOCK));
    syncFoldersIn(staging);
    if (replaces) {
      Files.move(target, retired, StandardCopyOption.ATOMIC_MOVE);
    }
    try {
      DurableFiles.publishFolder(staging, target);
    } catch (IOException e) {
      if (replaces) {
        Files.move(retired, target, StandardCopyOption.ATOMIC_MOVE);
      }
      throw e;
    }
    open = false;
    lock.close();
    if (replaces) {
      new OldOutput(retired, options.sideFiles()).delete();
    }
  }

  private static void syncFoldersIn(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      for (Path entry : (Iterable<Path>) entries.filter(Files::isDirectory)::iterator) {
        DurableFiles.syncFolder(entry);
      }
    }
  }

  /** Deletes what was not committed. */
  @Override
  public void close() throws IOException {
    if (open) {
      open = false;
      lock.close();
      MoreFiles.deleteRecursively(staging, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }
}
