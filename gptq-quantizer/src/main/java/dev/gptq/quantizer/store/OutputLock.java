package dev.gptq.quantizer.store;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.FileHold;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Optional;

/**
 * The right of one process to write an output folder, from before its work begins: a lock that the
 * system holds on a hidden file beside the folder, in which the holder names itself. The system
 * drops the lock of a process that dies, so that a file without a lock on it means nothing.
 */
public final class OutputLock implements AutoCloseable {
  /** More than any text in the file, and so many lengths that two processes hardly share one. */
  private static final long LENGTHS = 2000;

  private final Path file;
  private final FileHold hold;

  private OutputLock(Path file, FileHold hold) {
    this.file = file;
    this.hold = hold;
  }

  /**
   * Takes the lock, and makes the folder in which the output will be. Throws {@link
   * BadInputException} with the holder if another has it.
   */
  public static OutputLock acquire(Path output) throws IOException {
    Files.createDirectories(output.toAbsolutePath().normalize().getParent());
    Path file = file(output);
    // The holder must not be asked for by opening the file: its length says whose it is.
    long length = LENGTHS + ProcessHandle.current().pid() % LENGTHS;
    while (true) {
      Optional<FileHold> taken = FileHold.take(file);
      if (taken.isEmpty()) {
        throw new BadInputException(
            "%s is being written by %s; wait for it or give another output folder"
                .formatted(output, holder(file)));
      }
      FileHold hold = taken.get();
      boolean ours = false;
      try {
        name(hold.channel(), length);
        // The former holder may have deleted the file between our opening and locking it.
        ours = Files.exists(file) && file.toFile().length() == length;
        if (ours) {
          return new OutputLock(file, hold);
        }
      } finally {
        if (!ours) {
          hold.close();
        }
      }
    }
  }

  /** Throws {@link BadInputException} with the holder if there is one; leaves nothing. */
  public static void requireFree(Path output) throws IOException {
    if (Files.exists(file(output))) {
      acquire(output).close();
    }
  }

  private static Path file(Path output) throws IOException {
    Path target = output.toAbsolutePath().normalize();
    if (Files.exists(target)) {
      target = target.toRealPath();
    }
    return target.resolveSibling("." + target.getFileName() + ".lock");
  }

  /** Writes whose the file is, and its length. */
  private static void name(FileChannel channel, long length) throws IOException {
    channel.truncate(0);
    ByteBuffer rest = StandardCharsets.UTF_8.encode(self() + "\n");
    while (rest.hasRemaining()) {
      channel.write(rest);
    }
    channel.write(ByteBuffer.allocate(1), length - 1);
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
    if (FileHold.isHeldHere(file)) {
      return self();
    }
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
    } finally {
      hold.close();
    }
  }
}
