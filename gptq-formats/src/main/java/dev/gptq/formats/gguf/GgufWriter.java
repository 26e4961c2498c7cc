package dev.gptq.formats.gguf;

import com.google.common.base.Preconditions;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.DurableFiles;
import dev.gptq.formats.safetensors.MappedFiles;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import java.util.zip.CRC32C;

/**
 * Writes a GGUF file, version 3: header, metadata, what the tensors are, and their data, each
 * aligned to 32 bytes. The file grows under a hidden name beside its own and is renamed when the
 * disk has all of it and has been read back.
 */
public final class GgufWriter {
  static final byte[] MAGIC = "GGUF".getBytes(StandardCharsets.US_ASCII);
  private static final int VERSION = 3;
  private static final int ALIGNMENT = 32;
  private static final int LONGEST_NAME = 63;
  private static final int PIECE = 1 << 22;

  /** The first entry, which says that a file may be replaced. */
  private static final String MAKER_KEY = "general.quantized_by";

  private static final String MAKER = "gptq-java";

  /** Where it ends at the latest. */
  private static final int LONGEST_MAKER = 256;

  private final Path file;
  private final ByteBuffer piece = ByteBuffer.allocateDirect(PIECE);
  private final CRC32C checksum = new CRC32C();

  private GgufWriter(Path file) {
    this.file = file;
  }

  /**
   * Writes a file. Throws {@link BadInputException} if something stands there that must not be
   * replaced, or is no GGUF file of this program.
   */
  public static void write(
      Path file, GgufMetadata metadata, List<GgufTensor> tensors, boolean overwrite)
      throws IOException {
    requireReplaceable(file, overwrite);
    Path target = file.toAbsolutePath().normalize();
    Path partial = partial(target);
    Files.createDirectories(target.getParent());
    try {
      writePartial(partial, metadata, tensors);
      Files.move(
          partial, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      DurableFiles.syncFolder(target.getParent());
    } finally {
      Files.deleteIfExists(partial);
    }
  }

  /** Where a file grows. */
  static Path partial(Path target) {
    return target.resolveSibling("." + target.getFileName() + ".partial");
  }

  /** Writes a file that has not its name yet, and reads it back. */
  static void writePartial(Path partial, GgufMetadata metadata, List<GgufTensor> tensors)
      throws IOException {
    Files.deleteIfExists(partial);
    new GgufWriter(partial).write(metadata, tensors);
  }

  /** Throws if something stands at the place of a file that may not be replaced. */
  public static void requireReplaceable(Path file, boolean overwrite) throws IOException {
    if (!Files.exists(file)) {
      return;
    }
    if (!overwrite) {
      throw new BadInputException(file + " exists; choose another file or add --overwrite");
    }
    if (Files.isDirectory(file)) {
      throw new BadInputException(file + " is a folder; give the name of a file");
    }
    try (InputStream input = Files.newInputStream(file)) {
      byte[] start = input.readNBytes(LONGEST_MAKER);
      if (!Arrays.equals(Arrays.copyOf(start, MAGIC.length), MAGIC)) {
        throw new BadInputException(
            file + " is no GGUF file and will not be replaced; delete it, or choose another name");
      }
      if (!new String(start, StandardCharsets.ISO_8859_1).contains(MAKER)) {
        throw new BadInputException(
            "%s was not written by this program (it does not say '%s') and will not be replaced;"
                    .formatted(file, MAKER)
                + " delete it, or choose another name");
      }
    }
  }

  private static byte[] header(GgufMetadata metadata, List<GgufTensor> tensors) {
    ByteArrayOutputStream header = new ByteArrayOutputStream();
    header.writeBytes(MAGIC);
    GgufMetadata.u32(header, VERSION);
    GgufMetadata.u64(header, tensors.size());
    GgufMetadata maker = new GgufMetadata();
    maker.put(MAKER_KEY, MAKER);
    GgufMetadata.u64(header, maker.count() + metadata.count());
    header.writeBytes(maker.toBytes());
    header.writeBytes(metadata.toBytes());
    long offset = 0;
    for (GgufTensor tensor : tensors) {
      Preconditions.checkArgument(
          tensor.name().length() <= LONGEST_NAME, "the name %s is too long", tensor.name());
      GgufMetadata.text(header, tensor.name());
      GgufMetadata.u32(header, tensor.shape().size());
      tensor.shape().reverse().forEach(size -> GgufMetadata.u64(header, size));
      GgufMetadata.u32(header, tensor.type().id());
      GgufMetadata.u64(header, offset);
      offset += tensor.bytes() + padding(tensor.bytes());
    }
    header.writeBytes(new byte[padding(header.size())]);
    return header.toByteArray();
  }

  private static int padding(long bytes) {
    return (int) ((ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT);
  }

  /** Writes all of it and reads it back. */
  private void write(GgufMetadata metadata, List<GgufTensor> tensors) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      put(channel, MemorySegment.ofArray(header(metadata, tensors)));
      for (GgufTensor tensor : tensors) {
        put(channel, tensor);
      }
      channel.force(true);
    }
    if (readBack() != checksum.getValue()) {
      throw new IOException(
          file + ": the disk returns other bytes than were written; give a place on another disk");
    }
  }

  private long readBack() throws IOException {
    CRC32C read = new CRC32C();
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      while (channel.read(piece.clear()) >= 0) {
        read.update(piece.flip());
      }
    }
    return read.getValue();
  }

  private void put(FileChannel channel, GgufTensor tensor) throws IOException {
    long written = 0;
    for (Supplier<MemorySegment> part : tensor.parts()) {
      MemorySegment data = part.get();
      put(channel, data);
      written += data.byteSize();
    }
    Preconditions.checkState(written == tensor.bytes(), "%s has %s bytes", tensor.name(), written);
    put(channel, MemorySegment.ofArray(new byte[padding(written)]));
  }

  /** Bytes are copied before anything is done with them: they may be those of a mapped file. */
  private void put(FileChannel channel, MemorySegment data) throws IOException {
    for (long at = 0; at < data.byteSize(); at += PIECE) {
      int count = (int) Math.min(PIECE, data.byteSize() - at);
      piece.clear().limit(count);
      MappedFiles.copy(data, at, MemorySegment.ofBuffer(piece), count);
      checksum.update(piece);
      piece.flip();
      while (piece.hasRemaining()) {
        channel.write(piece);
      }
    }
  }
}
