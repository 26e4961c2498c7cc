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

/**
 * The right of one process to write an output folder, from before its work begins: a lock that the
 * system holds on a hidden file beside the folder, in which the holder names itself. The system
 * drops the lock of a process that dies, so that a file without a lock on it means nothing.
 */
public final class OutputLock implements AutoCloseable {
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
    String me = self();
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
      ByteBuffer rest = StandardCharsets.UTF_8.encode(me);
      while (rest.hasRemaining()) {
        channel.write(rest);
      }
      // The former holder may have deleted the file between our opening and locking it.
      if (holder(file).equals(me)) {
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
      return name.isEmpty() ? "another process" : name;
    } catch (NoSuchFileException e) {
      return "another process";
    }
  }

  /** Gives the lock back. */
  @Override
  public void close() throws IOException {
    Files.deleteIfExists(file);
    channel.close();
  }
}
