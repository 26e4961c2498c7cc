package dev.gptq.formats.safetensors;

import dev.gptq.formats.Crc32c;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
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

  private ReadBack(FileChannel channel, int alignment) {
    this.channel = channel;
    this.alignment = alignment;
  }

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

  /** Compares some tensors of a file, which may still lack others. */
  static Optional<String> verify(Path file, Shard.Places some, Map<String, Long> checksums)
      throws IOException {
    return verifyFile(file, some, checksums, ReadBack::openPastTheCache);
  }

  static Optional<String> verify(
      Path folder, Map<String, Long> checksums, ShardWriter.Opener pastTheCache)
      throws IOException {
    Set<Path> files = new LinkedHashSet<>();
    try (Checkpoint written = Checkpoint.open(folder)) {
      checksums.keySet().forEach(name -> files.add(written.require(name).file()));
    }
    Optional<String> cached = Optional.empty();
    for (Path file : files) {
      Optional<String> why = verifyFile(file, Shard.places(file), checksums, pastTheCache);
      cached = cached.or(() -> why);
    }
    return cached;
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

  private static Optional<String> verifyFile(
      Path file, Shard.Places places, Map<String, Long> checksums, ShardWriter.Opener pastTheCache)
      throws IOException {
    FileChannel direct;
    try {
      direct = pastTheCache.open(file);
    } catch (UnsupportedOperationException | IOException e) {
      try (FileChannel cached = FileChannel.open(file, StandardOpenOption.READ)) {
        new ReadBack(cached, 1).compare(file, places, checksums);
      }
      return Optional.of(String.valueOf(e.getMessage()));
    }
    try (direct) {
      int alignment = Math.toIntExact(Files.getFileStore(file).getBlockSize());
      new ReadBack(direct, alignment).compare(file, places, checksums);
    }
    return Optional.empty();
  }

  private void compare(Path file, Shard.Places places, Map<String, Long> checksums)
      throws IOException {
    Optional<TensorEntry> wrong;
    try {
      wrong =
          places.entries().stream()
              .parallel()
              .filter(entry -> checksum(places.data(), entry) != checksums.get(entry.name()))
              .findFirst();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    if (wrong.isPresent()) {
      throw new IOException(
          "%s: tensor '%s' reads back differently than it was written; check the disk"
              .formatted(file, wrong.get().name()));
    }
  }

  private long checksum(long data, TensorEntry entry) {
    long begin = data + entry.begin();
    try {
      return Crc32c.of(entry.byteSize(), (from, to) -> checksum(begin + from, begin + to));
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
    CRC32C checksum = new CRC32C();
    try (Arena arena = Arena.ofConfined()) {
      ByteBuffer piece = arena.allocate(most, alignment).asByteBuffer();
      for (long at = begin; at < end; ) {
        long unit = at / alignment * alignment;
        long units = Math.ceilDiv(end - unit, alignment);
        piece.clear().limit((int) Math.min(most, units * alignment));
        int read = channel.read(piece, unit);
        if (unit + read <= at) {
          throw new IOException("the file ends at byte " + (unit + Math.max(0, read)));
        }
        int from = (int) (at - unit);
        int to = (int) Math.min(read, end - unit);
        checksum.update(piece.slice(from, to - from));
        at = unit + to;
      }
    }
    return checksum.getValue();
  }
}
