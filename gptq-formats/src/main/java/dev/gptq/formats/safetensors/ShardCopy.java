package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.zip.CRC32C;

/**
 * Writes one safetensors file of tensors that lie in other files. All sizes being known, the header
 * is written first, and all processors bring tensors to their places.
 */
final class ShardCopy {
  private static final int PIECE = 1 << 20;

  /** A tensor and where it goes. */
  private record Placed(StoredTensor tensor, long position) {}

  private final FileChannel out;

  private ShardCopy(FileChannel out) {
    this.out = out;
  }

  /** Writes the file, waits until the disk has it, and returns the CRC-32C of each tensor. */
  static Map<String, Long> write(
      Path file,
      ShardWriter.Opener opener,
      List<StoredTensor> tensors,
      ImmutableMap<String, String> metadata)
      throws IOException {
    List<StoredTensor> sorted = new ArrayList<>(tensors);
    sorted.sort(Comparator.comparing(StoredTensor::type, HeaderWriter.WIDEST_FIRST));
    ImmutableList.Builder<TensorEntry> entries = ImmutableList.builder();
    long end = 0;
    for (StoredTensor tensor : sorted) {
      long begin = end;
      end += tensor.byteSize();
      entries.add(new TensorEntry(tensor.name(), tensor.type(), tensor.shape(), begin, end));
    }
    ByteBuffer header = HeaderWriter.header(entries.build(), metadata);
    List<Placed> placed = new ArrayList<>();
    long position = header.limit();
    for (StoredTensor tensor : sorted) {
      placed.add(new Placed(tensor, position));
      position += tensor.byteSize();
    }
    try (FileChannel out = opener.open(file)) {
      HeaderWriter.writeFully(out, header, 0);
      Map<String, Long> checksums = new ShardCopy(out).copy(placed);
      out.force(true);
      return checksums;
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  private Map<String, Long> copy(List<Placed> tensors) {
    return tensors.stream()
        .parallel()
        .collect(Collectors.toConcurrentMap(p -> p.tensor().name(), this::copy));
  }

  private long copy(Placed placed) {
    StoredTensor tensor = placed.tensor();
    CRC32C checksum = new CRC32C();
    try {
      MemorySegment data = tensor.data();
      long size = data.byteSize();
      byte[] bytes = new byte[(int) Math.min(PIECE, size)];
      for (long at = 0; at < size; at += bytes.length) {
        int count = (int) Math.min(bytes.length, size - at);
        MappedFiles.copy(data, at, MemorySegment.ofArray(bytes), count);
        checksum.update(bytes, 0, count);
        HeaderWriter.writeFully(out, ByteBuffer.wrap(bytes, 0, count), placed.position() + at);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return checksum.getValue();
  }
}
