package dev.gptq.formats.safetensors;

import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.stream.Stream;

/**
 * A hidden folder beside the final one, in which output grows until it is whole: {@code
 * .NAME.partial}. {@link #commit} renames it; until then nothing stands under the final name, and
 * what stood there before stays. A lock keeps a second process out; what a killed process left is
 * cleared away by the next one.
 */
final class StagingFolder implements AutoCloseable {
  private static final String LOCK = ".lock";

  private final Path target;
  private final Path staging;
  private final Path retired;
  private final FileChannel lock;
  private boolean open = true;

  private StagingFolder(Path target, Path staging, Path retired, FileChannel lock) {
    this.target = target;
    this.staging = staging;
    this.retired = retired;
    this.lock = lock;
  }

  /** Prepares output to {@code folder}, whose parents are created. */
  static StagingFolder create(Path folder, boolean overwrite) throws IOException {
    Path target = folder.toAbsolutePath().normalize();
    if (Files.exists(target)) {
      target = target.toRealPath();
    }
    if (target.getFileName() == null) {
      throw new BadInputException(folder + " cannot be an output folder; give one inside it");
    }
    Path staging = target.resolveSibling("." + target.getFileName() + ".partial");
    Path retired = target.resolveSibling("." + target.getFileName() + ".replaced");
    if (Files.exists(target)) {
      requireReplaceable(target, overwrite);
      requireMovable(target, retired);
    }
    Files.createDirectories(staging);
    FileChannel lock = lock(staging, target);
    clear(staging);
    return new StagingFolder(target, staging, retired, lock);
  }

  private static void requireReplaceable(Path target, boolean overwrite) throws IOException {
    if (!Files.isDirectory(target)) {
      throw new BadInputException(target + " is a file; give another output folder");
    }
    try (Stream<Path> entries = Files.list(target)) {
      if (entries.findAny().isEmpty()) {
        return;
      }
    }
    if (!overwrite) {
      throw new BadInputException(
          target + " exists and is not empty; give another output folder or allow overwriting");
    }
    if (!Files.exists(target.resolve("config.json"))
        && !Files.exists(target.resolve(Checkpoint.SINGLE_FILE))
        && !Files.exists(target.resolve(Checkpoint.INDEX_FILE))) {
      throw new BadInputException(
          target
              + " does not look like a checkpoint, so it is not overwritten; give another output"
              + " folder or delete this one yourself");
    }
  }

  /** Renames and renames back, because a mount point would only fail after all the work. */
  private static void requireMovable(Path target, Path elsewhere) throws IOException {
    if (Files.exists(elsewhere)) {
      throw new BadInputException(
          "%s is left of an earlier run that was interrupted while replacing %s; move or delete it"
              .formatted(elsewhere, target));
    }
    try {
      Files.move(target, elsewhere, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new BadInputException(
          "%s cannot be replaced (%s); if it is a mount point, give a folder inside it"
              .formatted(target, e.getMessage()),
          e);
    }
    Files.move(elsewhere, target, StandardCopyOption.ATOMIC_MOVE);
  }

  private static FileChannel lock(Path staging, Path target) throws IOException {
    FileChannel channel =
        FileChannel.open(
            staging.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    if (!tryLock(channel)) {
      channel.close();
      throw new BadInputException(
          "another process is writing to %s; wait for it or give another output folder"
              .formatted(target));
    }
    return channel;
  }

  private static boolean tryLock(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
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

  /** Gives the folder its final name. What stood there before is deleted last. */
  void commit() throws IOException {
    Files.delete(staging.resolve(LOCK));
    boolean replaces = Files.exists(target);
    if (replaces) {
      Files.move(target, retired, StandardCopyOption.ATOMIC_MOVE);
    }
    try {
      Files.move(staging, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      if (replaces) {
        Files.move(retired, target, StandardCopyOption.ATOMIC_MOVE);
      }
      throw e;
    }
    open = false;
    lock.close();
    if (replaces) {
      MoreFiles.deleteRecursively(retired, RecursiveDeleteOption.ALLOW_INSECURE);
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
