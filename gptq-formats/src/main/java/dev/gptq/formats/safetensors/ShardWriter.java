package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Writes one safetensors file of tensors that come one by one. The header comes first in the file
 * but is known last, so the elements go to a side file and are copied behind the header by the
 * operating system at the end. The copy also sorts by element size, widest first, which aligns
 * every tensor.
 */
final class ShardWriter implements AutoCloseable {
  /** Opens files; tests replace it by one whose disk is full. */
  @FunctionalInterface
  interface Opener {
    FileChannel open(Path file) throws IOException;
  }

  private final Path file;
  private final Path side;
  private final Opener opener;
  private final FileChannel data;
  private final ByteBuffer buffer;
  private final List<TensorEntry> entries = new ArrayList<>();
  private long bytes;

  /** Starts a shard in a file that must not exist. The direct buffer is used by all shards. */
  ShardWriter(Path file, Opener opener, ByteBuffer buffer) throws IOException {
    this.file = file;
    this.opener = opener;
    this.buffer = buffer;
    this.side = file.resolveSibling(file.getFileName() + ".data");
    this.data = opener.open(side);
  }

  /** Where the shard is written. */
  Path file() {
    return file;
  }

  /** Bytes of the tensors so far. */
  long bytes() {
    return bytes;
  }

  /** Names of the tensors so far. */
  ImmutableList<String> names() {
    return entries.stream().map(TensorEntry::name).collect(ImmutableList.toImmutableList());
  }

  /** Appends a tensor and returns the CRC-32C of its bytes. */
  long add(String name, StoredType type, long[] shape, MemorySegment elements) throws IOException {
    CRC32C checksum = new CRC32C();
    for (long at = 0; at < elements.byteSize(); at += buffer.capacity()) {
      int length = (int) Math.min(buffer.capacity(), elements.byteSize() - at);
      buffer.clear().limit(length);
      MemorySegment.copy(elements, at, MemorySegment.ofBuffer(buffer), 0, length);
      checksum.update(buffer.duplicate());
      HeaderWriter.writeFully(data, buffer, bytes + at);
    }
    entries.add(
        new TensorEntry(
            name,
            type,
            Arrays.stream(shape).boxed().collect(ImmutableList.toImmutableList()),
            bytes,
            bytes + elements.byteSize()));
    bytes += elements.byteSize();
    return checksum.getValue();
  }

  /** Writes header and data, waits until the disk has them, and deletes the side file. */
  void finish(ImmutableMap<String, String> metadata) throws IOException {
    List<TensorEntry> sorted = new ArrayList<>(entries);
    sorted.sort(Comparator.comparing(TensorEntry::type, HeaderWriter.WIDEST_FIRST));
    try (FileChannel out = opener.open(file)) {
      ByteBuffer header = HeaderWriter.header(sorted, metadata);
      out.position(header.limit());
      HeaderWriter.writeFully(out, header, 0);
      for (TensorEntry entry : sorted) {
        for (long at = entry.begin(); at < entry.end(); ) {
          at += data.transferTo(at, entry.end() - at, out);
        }
      }
      out.force(true);
    }
    close();
    Files.delete(side);
  }

  @Override
  public void close() throws IOException {
    data.close();
  }
}
