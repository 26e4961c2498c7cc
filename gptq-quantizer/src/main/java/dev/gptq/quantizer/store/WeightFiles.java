package dev.gptq.quantizer.store;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;

/**
 * The files of a model's weights as they are now: size, modification time, CRC-32C of the header,
 * and one of some pages of every tensor, so that other weights of the same shapes, written over
 * these in place, are seen even where a clock was set back.
 *
 * @param parts what is known about each file, by its name
 */
public record WeightFiles(ImmutableMap<String, String> parts) {
  private static final int PAGE = 4096;

  /** Pages of a tensor that are looked at, the first and the last among them. */
  private static final int PAGES = 4;

  /** Looks at the files of a checkpoint. */
  public static WeightFiles of(Checkpoint checkpoint) throws IOException {
    Map<Path, CRC32C> samples = new TreeMap<>();
    for (StoredTensor tensor : checkpoint.inFiles()) {
      sample(tensor, samples.computeIfAbsent(tensor.file(), file -> new CRC32C()));
    }
    ImmutableMap.Builder<String, String> parts = ImmutableMap.builder();
    for (Map.Entry<Path, CRC32C> file : samples.entrySet()) {
      Path path = file.getKey();
      parts.put(
          path.getFileName().toString(),
          "%d bytes of %s, header %08x, samples %08x"
              .formatted(
                  Files.size(path),
                  Files.getLastModifiedTime(path),
                  header(path),
                  file.getValue().getValue()));
    }
    return new WeightFiles(parts.buildOrThrow());
  }

  private static void sample(StoredTensor tensor, CRC32C checksum) {
    MemorySegment data = tensor.data();
    long size = data.byteSize();
    long last = Math.max(0, size - PAGE);
    byte[] page = new byte[PAGE];
    for (long i = 0; i < PAGES; i++) {
      long at = i == PAGES - 1 ? last : last / (PAGES - 1) * i;
      int length = (int) Math.min(PAGE, size - at);
      MemorySegment.copy(data, ValueLayout.JAVA_BYTE, at, page, 0, length);
      checksum.update(page, 0, length);
    }
  }

  /**
   * Of the length of the header and of the header; that of a GGUF file is looked at as a tensor.
   */
  private static long header(Path path) throws IOException {
    CRC32C checksum = new CRC32C();
    if (GgufFile.is(path)) {
      return checksum.getValue();
    }
    try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
      ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      fill(file, length, 0);
      ByteBuffer header = ByteBuffer.allocate(Math.toIntExact(length.getLong(0)));
      fill(file, header, Long.BYTES);
      for (ByteBuffer read : List.of(length, header)) {
        checksum.update(read.flip());
      }
    }
    return checksum.getValue();
  }

  private static void fill(FileChannel file, ByteBuffer buffer, long position) throws IOException {
    long at = position;
    while (buffer.hasRemaining()) {
      int read = file.read(buffer, at);
      if (read < 0) {
        throw new IOException("a file of the model became shorter while it was read");
      }
      at += read;
    }
  }
}
