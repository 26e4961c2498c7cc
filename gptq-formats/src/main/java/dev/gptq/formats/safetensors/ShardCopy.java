package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.Crc32c;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;

/**
 * Writes one safetensors file of which all sizes are known: the header is written first, and
 * tensors go to their places as they come, brought by all processors.
 */
final class ShardCopy implements AutoCloseable {
  private static final int PIECE = 1 << 20;

  private final Path file;
  private final FileChannel out;

  /** Bytes before the elements. */
  private final long data;

  private final Map<String, TensorEntry> entries = new HashMap<>();

  /** Names of tensors that have not come. */
  private final Set<String> missing = new HashSet<>();

  private ShardCopy(Path file, FileChannel out, long data, List<TensorEntry> entries) {
    this.file = file;
    this.out = out;
    this.data = data;
    entries.forEach(entry -> this.entries.put(entry.name(), entry));
    missing.addAll(this.entries.keySet());
  }

  /**
   * Begins a file.
   *
   * @param tensors all that it will hold, of which no element is asked for
   */
  static ShardCopy begin(
      Path file,
      ShardWriter.Opener opener,
      List<StoredTensor> tensors,
      ImmutableMap<String, String> metadata)
      throws IOException {
    List<StoredTensor> sorted = new ArrayList<>(tensors);
    sorted.sort(Comparator.comparing(StoredTensor::type, HeaderWriter.WIDEST_FIRST));
    List<TensorEntry> entries = new ArrayList<>();
    long end = 0;
    for (StoredTensor tensor : sorted) {
      long begin = end;
      end += tensor.byteSize();
      entries.add(new TensorEntry(tensor.name(), tensor.type(), tensor.shape(), begin, end));
    }
    ByteBuffer header = HeaderWriter.header(entries, metadata);
    int length = header.limit();
    FileChannel out = opener.open(file);
    boolean begun = false;
    try {
      HeaderWriter.writeFully(out, header, 0);
      if (end > 0) {
        // The file is as long as its header says from the beginning.
        HeaderWriter.writeFully(out, ByteBuffer.allocate(1), length + end - 1);
      }
      begun = true;
      return new ShardCopy(file, out, length, entries);
    } finally {
      if (!begun) {
        out.close();
      }
    }
  }

  /** Whether there is a place for a tensor, which has not come yet. */
  boolean awaits(StoredTensor tensor) {
    TensorEntry entry = entries.get(tensor.name());
    return missing.contains(tensor.name())
        && entry.type() == tensor.type()
        && entry.shape().equals(tensor.shape());
  }

  /** Whether all tensors have come. */
  boolean isWhole() {
    return missing.isEmpty();
  }

  /**
   * Brings tensors to their places, waits until the disk has them, and returns the CRC-32C of each.
   */
  Map<String, Long> fill(List<StoredTensor> tensors) throws IOException {
    Map<String, Long> checksums;
    try {
      checksums =
          tensors.stream()
              .parallel()
              .collect(Collectors.toConcurrentMap(StoredTensor::name, this::copy));
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    out.force(true);
    missing.removeAll(checksums.keySet());
    return checksums;
  }

  /** Reads back tensors that have come; see {@link ReadBack}. */
  Optional<String> verify(Map<String, Long> checksums) throws IOException {
    ImmutableList<TensorEntry> some =
        checksums.keySet().stream().map(entries::get).collect(ImmutableList.toImmutableList());
    return ReadBack.verify(file, new Shard.Places(data, some), checksums);
  }

  private long copy(StoredTensor tensor) {
    long position = data + entries.get(tensor.name()).begin();
    MemorySegment elements = tensor.data();
    try {
      return Crc32c.of(
          elements.byteSize(),
          (from, to) -> copy(elements.asSlice(from, to - from), position + from));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private long copy(MemorySegment elements, long position) throws IOException {
    CRC32C checksum = new CRC32C();
    long size = elements.byteSize();
    byte[] bytes = new byte[(int) Math.min(PIECE, size)];
    for (long at = 0; at < size; at += bytes.length) {
      int count = (int) Math.min(bytes.length, size - at);
      MappedFiles.copy(elements, at, MemorySegment.ofArray(bytes), count);
      checksum.update(bytes, 0, count);
      HeaderWriter.writeFully(out, ByteBuffer.wrap(bytes, 0, count), position + at);
    }
    return checksum.getValue();
  }

  @Override
  public void close() throws IOException {
    out.close();
  }
}
