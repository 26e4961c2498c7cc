package dev.gptq.quantizer.pipeline;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Room for {@link HiddenStates} that are not on a device, until it is closed. */
final class StateRoom implements AutoCloseable {
  private static final Path MEMORY = Path.of("/proc/meminfo");
  private static final Pattern AVAILABLE = Pattern.compile("MemAvailable:\\s+(\\d+) kB");

  private final HiddenStates where;
  private final Path folder;
  private final Arena arena = Arena.ofShared();
  private final List<Path> files = new ArrayList<>();

  /**
   * No room taken yet.
   *
   * @param folder of files, if they go there
   */
  StateRoom(HiddenStates where, Path folder) {
    this.where = where;
    this.folder = folder;
  }

  /** Bytes that the machine can give; 0 where it does not say so, as Linux does. */
  static long available() {
    if (!Files.isReadable(MEMORY)) {
      return 0;
    }
    try {
      return Files.readAllLines(MEMORY).stream()
          .map(AVAILABLE::matcher)
          .filter(Matcher::matches)
          .mapToLong(found -> 1024 * Long.parseLong(found.group(1)))
          .findFirst()
          .orElse(0);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether states leave the device. */
  boolean isElsewhere() {
    return where != HiddenStates.DEVICE;
  }

  /** So many bytes; several threads may ask at once. */
  synchronized MemorySegment allocate(long bytes) {
    if (where == HiddenStates.HOST) {
      return arena.allocate(bytes, Long.BYTES);
    }
    try {
      Files.createDirectories(folder);
      Path file = folder.resolve("batch-" + files.size());
      files.add(file);
      try (FileChannel channel =
          FileChannel.open(
              file,
              StandardOpenOption.READ,
              StandardOpenOption.WRITE,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING)) {
        return channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() {
    arena.close();
    try {
      for (Path file : files) {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
