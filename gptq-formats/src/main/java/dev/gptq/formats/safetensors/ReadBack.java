package dev.gptq.formats.safetensors;

import dev.gptq.formats.Crc32c;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.zip.CRC32C;

/**
 * Reads a checkpoint that was just written and compares it with what should be there. What the
 * system still has in its cache says nothing about the disk, so that the files are read past it
 * where the file system allows that.
 */
final class ReadBack {
  private static final int PIECE = 1 << 20;

  private final FileChannel channel;
  private final int alignment;
  private final SpareBuffers buffers;
  private final Lock turn;

  private ReadBack(FileChannel channel, int alignment, SpareBuffers buffers, Lock turn) {
    this.channel = channel;
    this.alignment = alignment;
    this.buffers = buffers;
    this.turn = turn;
  }

  /**
   * Bytes of a file that should be there.
   *
   * @param tensor whose elements they are, or some of them
   * @param begin first byte of the file
   * @param end the byte after the last
   * @param checksum their CRC-32C
   */
  record Written(String tensor, long begin, long end, long checksum) {}

  /**
   * Compares all tensors of a folder.
   *
   * @param checksums CRC-32C of each by name
   * @return why they were read through the cache; empty if they were read from the disk
   * @throws IOException if one is not what it should be
   */
  static Optional<String> verify(Path folder, Map<String, Long> checksums) throws IOException {
    return verify(folder, checksums, ReadBack::openPastTheCache);
  }

  /**
   * Compares some of a file, which may still lack the rest.
   *
   * @param turn is held while a piece is read
   */
  static Optional<String> verify(Path file, List<Written> some, SpareBuffers buffers, Lock turn)
      throws IOException {
    return verify(file, some, buffers, turn, ReadBack::openPastTheCache);
  }

  static Optional<String> verify(
      Path folder, Map<String, Long> checksums, ShardWriter.Opener pastTheCache)
      throws IOException {
    Set<Path> files = new LinkedHashSet<>();
    try (Checkpoint written = Checkpoint.open(folder)) {
      checksums.keySet().forEach(name -> files.add(written.require(name).file()));
    }
    Optional<String> cached = Optional.empty();
    SpareBuffers buffers = new SpareBuffers();
    Lock nobodyWrites = new ReentrantReadWriteLock().readLock();
    for (Path file : files) {
      List<Written> all = written(Shard.places(file), checksums);
      Optional<String> why = verify(file, all, buffers, nobodyWrites, pastTheCache);
      cached = cached.or(() -> why);
    }
    return cached;
  }

  private static List<Written> written(Shard.Places places, Map<String, Long> checksums) {
    return places.entries().stream()
        .map(entry ->
            new Written(
                entry.name(),
                places.data() + entry.begin(),
                places.data() + entry.end(),
                checksums.get(entry.name())))
        .toList();
  }

  /** The option for this is one of the JDK's and not of the Java API. */
  private static FileChannel openPastTheCache(Path file) throws IOException {
    try {
      for (Object option :
          Class.forName("com.sun.nio.file.ExtendedOpenOption").getEnumConstants()) {
        if (option.toString().equals("DIRECT")) {
          return FileChannel.open(file, StandardOpenOption.READ, (OpenOption) option);
        }
      }
    } catch (ClassNotFoundException e) {
      throw new UnsupportedOperationException("this Java cannot read past the cache", e);
    }
    throw new UnsupportedOperationException("this Java cannot read past the cache");
  }

  private static Optional<String> verify(
      Path file,
      List<Written> some,
      SpareBuffers buffers,
      Lock turn,
      ShardWriter.Opener pastTheCache)
      throws IOException {
    FileChannel direct;
    try {
      direct = pastTheCache.open(file);
    } catch (UnsupportedOperationException | IOException e) {
      try (FileChannel cached = FileChannel.open(file, StandardOpenOption.READ)) {
        new ReadBack(cached, 1, buffers, turn).compare(file, some);
      }
      return Optional.of(String.valueOf(e.getMessage()));
    }
    try (direct) {
      int alignment = Math.toIntExact(Files.getFileStore(file).getBlockSize());
      new ReadBack(direct, alignment, buffers, turn).compare(file, some);
    }
    return Optional.empty();
  }

  private void compare(Path file, List<Written> some) throws IOException {
    Optional<Written> wrong;
    try {
      wrong =
          some.stream()
              .parallel()
              .filter(written -> checksum(written) != written.checksum())
              .findFirst();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    if (wrong.isPresent()) {
      throw new IOException(
          "%s: tensor '%s' reads back differently than it was written; check the disk"
              .formatted(file, wrong.get().tensor()));
    }
  }

  private long checksum(Written written) {
    long begin = written.begin();
    try {
      return Crc32c.of(written.end() - begin, (from, to) -> checksum(begin + from, begin + to));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Reads whole units of the disk, as it demands, no more of them than it takes, and takes those
   * bytes of them.
   */
  private long checksum(long begin, long end) throws IOException {
    int most = Math.ceilDiv(PIECE, alignment) * alignment;
    MemorySegment buffer = buffers.take(most, alignment);
    try {
      ByteBuffer piece = buffer.asByteBuffer();
      CRC32C checksum = new CRC32C();
      for (long at = begin; at < end; ) {
        long unit = at / alignment * alignment;
        long units = Math.ceilDiv(end - unit, alignment);
        piece.clear().limit((int) Math.min(most, units * alignment));
        int read = read(piece, unit);
        if (unit + read <= at) {
          throw new IOException("the file ends at byte " + (unit + Math.max(0, read)));
        }
        int from = (int) (at - unit);
        int to = (int) Math.min(read, end - unit);
        checksum.update(piece.slice(from, to - from));
        at = unit + to;
      }
      return checksum.getValue();
    } finally {
      buffers.giveBack(buffer);
    }
  }

  private int read(ByteBuffer piece, long position) throws IOException {
    turn.lock();
    try {
      return channel.read(piece, position);
    } finally {
      turn.unlock();
    }
  }
}
