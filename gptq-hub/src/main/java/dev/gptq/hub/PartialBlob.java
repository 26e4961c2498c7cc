package dev.gptq.hub;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.atomic.AtomicLongArray;

/**
 * A blob that grows in several places at once. Behind its bytes the file holds how many of each
 * part have come, so that another process can go on; they are cut off when it is whole. What the
 * counts say is no proof: the digest of the whole is.
 */
final class PartialBlob implements AutoCloseable {
  private static final long MAGIC = 0x67707471_68756231L;
  private static final int HEADER = 3 * Long.BYTES;

  /** Bytes of a part between two records of its count. */
  private static final int RECORD_EVERY = 1 << 20;

  private final FileChannel channel;
  private final long size;
  private final int partSize;
  private final AtomicLongArray received;
  private final AtomicLongArray recorded;

  private PartialBlob(FileChannel channel, long size, int partSize) {
    this.channel = channel;
    this.size = size;
    this.partSize = partSize;
    int parts = Math.toIntExact((size + partSize - 1) / partSize);
    this.received = new AtomicLongArray(parts);
    this.recorded = new AtomicLongArray(parts);
  }

  /** Opens what an earlier process left, or begins. */
  static PartialBlob open(Path file, long size, int partSize) throws IOException {
    FileChannel channel =
        FileChannel.open(
            file,
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE,
            // Honoured where the file is created; writing behind its end must not fill it.
            StandardOpenOption.SPARSE);
    try {
      PartialBlob blob = new PartialBlob(channel, size, partSize);
      if (!blob.restore()) {
        blob.clear();
      }
      return blob;
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  /** Bytes of a file of this size that an earlier process left, without opening it for writing. */
  static long left(Path file, long size, int partSize) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      PartialBlob blob = new PartialBlob(channel, size, partSize);
      return blob.restore() ? blob.total() : 0;
    }
  }

  private boolean restore() throws IOException {
    if (channel.size() != size + HEADER + (long) received.length() * Long.BYTES) {
      return false;
    }
    ByteBuffer counts = ByteBuffer.allocate(HEADER + received.length() * Long.BYTES);
    while (counts.hasRemaining()) {
      if (channel.read(counts, size + counts.position()) < 0) {
        return false;
      }
    }
    counts.flip();
    if (counts.getLong() != MAGIC || counts.getLong() != size || counts.getLong() != partSize) {
      return false;
    }
    for (int part = 0; part < received.length(); part++) {
      long count = counts.getLong();
      if (count < 0 || count > length(part)) {
        return false;
      }
      received.set(part, count);
      recorded.set(part, count);
    }
    return true;
  }

  /** Forgets all that came. */
  void clear() throws IOException {
    for (int part = 0; part < received.length(); part++) {
      received.set(part, 0);
      recorded.set(part, 0);
    }
    channel.truncate(0);
    ByteBuffer counts = ByteBuffer.allocate(HEADER + received.length() * Long.BYTES);
    counts.putLong(MAGIC).putLong(size).putLong(partSize).position(0);
    write(counts, size);
  }

  int parts() {
    return received.length();
  }

  /** Where a part begins. */
  long start(int part) {
    return (long) part * partSize;
  }

  /** Bytes of a part. */
  long length(int part) {
    return Math.min(partSize, size - start(part));
  }

  /** Bytes of a part that have come. */
  long received(int part) {
    return received.get(part);
  }

  /** Bytes of all parts that have come. */
  long total() {
    long sum = 0;
    for (int part = 0; part < received.length(); part++) {
      sum += received.get(part);
    }
    return sum;
  }

  /** The next {@code count} bytes of a part; one thread at a time a part. */
  void append(int part, byte[] bytes, int offset, int count) throws IOException {
    long before = received.get(part);
    write(ByteBuffer.wrap(bytes, offset, count), start(part) + before);
    received.set(part, before + count);
    if (before + count - recorded.get(part) >= RECORD_EVERY) {
      record(part);
    }
  }

  /** Makes the count of a part last beyond this process. */
  void record(int part) throws IOException {
    long count = received.get(part);
    write(
        ByteBuffer.allocate(Long.BYTES).putLong(count).flip(),
        size + HEADER + (long) part * Long.BYTES);
    recorded.set(part, count);
  }

  private void write(ByteBuffer bytes, long position) throws IOException {
    long at = position;
    while (bytes.hasRemaining()) {
      at += channel.write(bytes, at);
    }
  }

  /** Cuts the counts off and writes all to the disk. */
  void finish() throws IOException {
    channel.truncate(size);
    channel.force(true);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
