package dev.gptq.quantizer.pipeline;

import dev.gptq.formats.FileFailure;
import dev.gptq.tensor.OutOfMemoryException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/** Room for {@link HiddenStates} that are not on a device, until it is closed. */
final class StateRoom implements AutoCloseable {

  private static final long PIECE = 1 << 20;

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

  /** Whether states leave the device. */
  boolean isElsewhere() {
    return where != HiddenStates.DEVICE;
  }

  /**
   * So many bytes; several threads may ask at once.
   *
   * @throws OutOfMemoryException if the machine has no room for them
   * @throws UncheckedIOException if the disk has none, or the file cannot be written
   */
  synchronized MemorySegment allocate(long bytes) {
    if (where == HiddenStates.HOST) {
      long available = MemoryCounts.available().orElse(Long.MAX_VALUE);
      if (bytes > available) {
        throw new OutOfMemoryException(
            "no memory: hidden states of some windows take %d MiB, and the machine has %d MiB left. It would fit with --hidden-states files"
                .formatted(bytes >> 20, available >> 20));
      }
      return arena.allocate(bytes, Long.BYTES);
    }
    Path file = folder.resolve("batch-" + files.size());
    try {
      Files.createDirectories(folder);
      files.add(file);
      return mapped(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(
          new IOException(
              "%s: hidden states cannot be kept there: %s".formatted(file, FileFailure.reason(e)),
              e));
    }
  }

  /** Zeros are written first: a disk without room for them fails here, and not in a mapped page. */
  private MemorySegment mapped(Path file, long bytes) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING)) {
      ByteBuffer zeros = ByteBuffer.allocateDirect(Math.toIntExact(Math.min(bytes, PIECE)));
      for (long written = 0; written < bytes; ) {
        zeros.clear().limit(Math.toIntExact(Math.min(bytes - written, PIECE)));
        written += channel.write(zeros);
      }
      return channel.map(FileChannel.MapMode.READ_WRITE, 0, bytes, arena);
    }
  }

  @Override
  public void close() {
    arena.close();
    try {
      for (Path file : files) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
