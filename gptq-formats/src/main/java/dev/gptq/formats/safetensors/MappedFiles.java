package dev.gptq.formats.safetensors;

import com.google.common.base.Throwables;
import com.google.common.collect.ImmutableList;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What happens where a file that is mapped into memory can no longer be read: another program made
 * it shorter, or its disk fails. The JVM turns the fault into an {@link InternalError} without a
 * name, and only in copies and in its own accesses: a checksum or a system call that is handed such
 * memory ends the process. So bytes are copied before anything else is done with them, and the
 * files are remembered, so that the one that changed can be named.
 */
public final class MappedFiles {
  /** Sizes that mapped files had, the latest of them. */
  private static final Map<Path, Long> SIZES =
      new LinkedHashMap<>() {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Path, Long> eldest) {
          return size() > 10_000;
        }
      };

  private MappedFiles() {}

  /** Maps a file to be read as long as the arena lives, and remembers it. */
  public static MemorySegment map(Path file, Arena arena) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      remember(file.toAbsolutePath(), size);
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
    }
  }

  static void remember(Path file, long size) {
    synchronized (SIZES) {
      SIZES.remove(file);
      SIZES.put(file, size);
    }
  }

  /**
   * The fault of a mapped file that is the cause of a failure, with the name of the file if one is
   * shorter now than when it was opened; empty if the failure has another cause.
   */
  public static Optional<UnreadableFileException> fault(Throwable failure) {
    for (Throwable cause : Throwables.getCausalChain(failure)) {
      if (cause instanceof InternalError
          && String.valueOf(cause.getMessage()).contains("unsafe memory access")) {
        return Optional.of(
            new UnreadableFileException(
                shorter()
                    + "; another program changed it while it was read, or its disk failed or is"
                    + " full",
                failure));
      }
    }
    return Optional.empty();
  }

  private static String shorter() {
    Map<Path, Long> sizes;
    synchronized (SIZES) {
      sizes = new LinkedHashMap<>(SIZES);
    }
    for (Map.Entry<Path, Long> file : ImmutableList.copyOf(sizes.entrySet()).reverse()) {
      long size = file.getKey().toFile().length();
      if (Files.exists(file.getKey()) && size < file.getValue()) {
        return "%s has %d bytes where it had %d".formatted(file.getKey(), size, file.getValue());
      }
    }
    return "a mapped file cannot be read or written";
  }

  /** Copies bytes of a tensor; {@link UnreadableFileException} if its file is gone. */
  public static void copy(MemorySegment data, long from, MemorySegment to, long count)
      throws IOException {
    try {
      MemorySegment.copy(data, from, to, 0, count);
    } catch (InternalError e) {
      throw fault(e).orElseThrow(() -> e);
    }
  }
}
