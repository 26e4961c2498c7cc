package dev.gptq.formats;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The right to something that a file stands for, which one holder has among all processes and
 * within this one: a lock that the system holds on the file and drops when the process ends. Unix
 * also drops it when the process closes the file anywhere else, so a file that is held here is not
 * opened a second time, and nobody may do so to read it.
 */
public final class FileHold implements AutoCloseable {
  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private final Path name;
  private final FileChannel channel;

  private FileHold(Path name, FileChannel channel) {
    this.name = name;
    this.channel = channel;
  }

  /** Makes the file if there is none and takes it; empty if it is held already. */
  public static Optional<FileHold> take(Path file) throws IOException {
    Path name = nameOf(file);
    if (!HELD.add(name)) {
      return Optional.empty();
    }
    FileChannel channel = null;
    boolean held = false;
    try {
      channel =
          FileChannel.open(
              file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      // A place behind all contents, since some systems let nobody read what is locked.
      held = channel.tryLock(Long.MAX_VALUE - 1, 1, false) != null;
      return held ? Optional.of(new FileHold(name, channel)) : Optional.empty();
    } finally {
      if (!held) {
        close(channel, name);
      }
    }
  }

  /** Whether this process holds the file, which must not be opened then. */
  public static boolean isHeldHere(Path file) throws IOException {
    return HELD.contains(nameOf(file));
  }

  /** The same for all paths that lead to the file. */
  private static Path nameOf(Path file) throws IOException {
    return file.toAbsolutePath().getParent().toRealPath().resolve(file.getFileName());
  }

  /** The file, to be written by its holder. */
  public FileChannel channel() {
    return channel;
  }

  /** Gives the file back; it may have been renamed or deleted. */
  @Override
  public void close() throws IOException {
    close(channel, name);
  }

  private static void close(FileChannel channel, Path name) throws IOException {
    try {
      if (channel != null) {
        channel.close();
      }
    } finally {
      HELD.remove(name);
    }
  }
}
