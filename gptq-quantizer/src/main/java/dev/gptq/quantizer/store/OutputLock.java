package dev.gptq.quantizer.store;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The right of one process to write an output folder, from before its work begins: a lock that the
 * system holds on a hidden file beside the folder, in which the holder names itself. The system
 * drops the lock of a process that dies, so that a file without a lock on it means nothing.
 */
public final class OutputLock implements AutoCloseable {
  /** More than any text in the file, and so many lengths that two processes hardly share one. */
  private static final long LENGTHS = 2000;

  /** Those of this process, which would lose them if it opened and closed their files again. */
  private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

  private final Path file;
  private final FileChannel channel;

  private OutputLock(Path file, FileChannel channel) {
    this.file = file;
    this.channel = channel;
  }

  /**
   * Takes the lock, and makes the folder in which the output will be. Throws {@link
   * BadInputException} with the holder if another has it.
   */
  public static OutputLock acquire(Path output) throws IOException {
    Path target = output.toAbsolutePath().normalize();
    Files.createDirectories(target.getParent());
    if (Files.exists(target)) {
      target = target.toRealPath();
    }
    Path file = target.resolveSibling("." + target.getFileName() + ".lock");
    if (!HELD.add(file)) {
      throw new BadInputException(
          "%s is being written by %s; wait for it or give another output folder"
              .formatted(output, self()));
    }
    boolean held = false;
    try {
      OutputLock lock = acquire(output, file);
      held = true;
      return lock;
    } finally {
      if (!held) {
        HELD.remove(file);
      }
    }
  }

  private static OutputLock acquire(Path output, Path file) throws IOException {
    // Unix forgets a lock when its process closes the file anywhere else, so that it must not be
    // opened to see whose it is: its length says that.
    long length = LENGTHS + ProcessHandle.current().pid() % LENGTHS;
    ByteBuffer me = StandardCharsets.UTF_8.encode(self() + "\n");
    while (true) {
      FileChannel channel =
          FileChannel.open(
              file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      if (!tryLock(channel)) {
        channel.close();
        throw new BadInputException(
            "%s is being written by %s; wait for it or give another output folder"
                .formatted(output, holder(file)));
      }
      channel.truncate(0);
      ByteBuffer rest = me.duplicate();
      while (rest.hasRemaining()) {
        channel.write(rest);
      }
      channel.write(ByteBuffer.allocate(1), length - 1);
      // The former holder may have deleted the file between our opening and locking it.
      if (Files.exists(file) && file.toFile().length() == length) {
        return new OutputLock(file, channel);
      }
      channel.close();
    }
  }

  private static boolean tryLock(FileChannel channel) throws IOException {
    try {
      // A place behind the text, since some systems let nobody read what is locked.
      return channel.tryLock(Long.MAX_VALUE - 1, 1, false) != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  private static String self() {
    ProcessHandle process = ProcessHandle.current();
    return "process %d on %s, running since %s"
        .formatted(
            process.pid(),
            host(),
            process.info().startInstant().orElse(Instant.EPOCH).truncatedTo(ChronoUnit.SECONDS));
  }

  private static String host() {
    try {
      return InetAddress.getLocalHost().getHostName();
    } catch (UnknownHostException e) {
      return "a host without a name";
    }
  }

  private static String holder(Path file) throws IOException {
    try {
      String name = Files.readString(file);
      return name.contains("\n") ? name.substring(0, name.indexOf('\n')) : "another process";
    } catch (NoSuchFileException e) {
      return "another process";
    }
  }

  /** Gives the lock back. */
  @Override
  public void close() throws IOException {
    try {
      Files.deleteIfExists(file);
      channel.close();
    } finally {
      HELD.remove(file);
    }
  }
}
