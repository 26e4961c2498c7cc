package dev.gptq.quantizer.store;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.io.MoreFiles;
import com.google.common.io.RecursiveDeleteOption;
import dev.gptq.formats.Crc32c;
import dev.gptq.formats.DurableFiles;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.zip.CRC32C;

/**
 * Writes a folder of {@link BlockFiles}. Modules are put one behind the other as they come, and
 * forced to the disk, so that little is left to do when the last has come. The folder has another
 * name until then, and is deleted if it is closed before.
 */
final class BlockWriter implements AutoCloseable {
  private static final int PIECE = 1 << 20;
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path staging;
  private final FileChannel out;
  private final List<Manifest.Entry> entries = new ArrayList<>();
  private long end;
  private boolean published;

  private BlockWriter(Path staging, FileChannel out) {
    this.staging = staging;
    this.out = out;
  }

  /** Begins a folder in the place of what stands there. */
  static BlockWriter begin(Path staging) throws IOException {
    Files.createDirectories(staging);
    Files.deleteIfExists(staging.resolve(BlockFiles.DATA));
    Files.deleteIfExists(staging.resolve(Manifest.FILE));
    return new BlockWriter(
        staging,
        FileChannel.open(
            staging.resolve(BlockFiles.DATA),
            StandardOpenOption.CREATE_NEW,
            StandardOpenOption.WRITE));
  }

  /**
   * Writes modules side by side, behind those that are there, and waits until the disk has them.
   */
  void add(List<QuantizedModule> modules, Function<String, Optional<StoredTensor>> biases)
      throws IOException {
    List<Laid> laid = new ArrayList<>();
    for (QuantizedModule module : modules) {
      laid.add(laid(module, biases.apply(module.report().name())));
    }
    try {
      entries.addAll(laid.stream().parallel().map(module -> module.write(out)).toList());
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    out.force(true);
  }

  /** Completes the folder, gives it its name, and returns what its manifest says. */
  Manifest publish(Path folder, int block, String key) throws IOException {
    Manifest manifest = new Manifest(block, key, out.size(), ImmutableList.copyOf(entries));
    out.close();
    DurableFiles.write(staging.resolve(Manifest.FILE), manifest.encode());
    DurableFiles.publishFolder(staging, folder);
    published = true;
    return manifest;
  }

  @Override
  public void close() throws IOException {
    out.close();
    if (!published) {
      MoreFiles.deleteRecursively(staging, RecursiveDeleteOption.ALLOW_INSECURE);
    }
  }

  /** Gives the parts of a module their places. */
  private Laid laid(QuantizedModule module, Optional<StoredTensor> bias) {
    ImmutableMap.Builder<String, Placed> placed = ImmutableMap.builder();
    for (Map.Entry<String, MemorySegment> part : parts(module.packed(), bias).entrySet()) {
      long at = Math.ceilDiv(end, BlockFiles.ALIGNMENT) * BlockFiles.ALIGNMENT;
      placed.put(part.getKey(), new Placed(at, part.getValue()));
      end = at + part.getValue().byteSize();
    }
    return new Laid(module, placed.buildOrThrow(), bias.map(StoredTensor::type));
  }

  private static ImmutableMap<String, MemorySegment> parts(
      PackedMatrix matrix, Optional<StoredTensor> bias) {
    ImmutableMap.Builder<String, MemorySegment> parts = ImmutableMap.builder();
    parts.put("codes", matrix.words());
    parts.put("scales", matrix.scales());
    matrix.zeros().ifPresent(zeros -> parts.put("zeros", zeros));
    if (matrix.groupOf().isPresent()) {
      MemorySegment order = MemorySegment.ofArray(new byte[4 * matrix.columns()]);
      for (int i = 0; i < matrix.columns(); i++) {
        order.setAtIndex(INT, i, matrix.group(i));
      }
      parts.put("order", order);
    }
    bias.ifPresent(tensor -> parts.put("bias", tensor.data()));
    return parts.buildOrThrow();
  }

  /** A part and where it begins in the data file. */
  private record Placed(long at, MemorySegment bytes) {
    Manifest.Part write(FileChannel out) throws IOException {
      long checksum = Crc32c.of(bytes.byteSize(), (from, to) -> write(out, from, to));
      return new Manifest.Part(at, bytes.byteSize(), checksum);
    }

    private long write(FileChannel out, long begin, long end) throws IOException {
      CRC32C checksum = new CRC32C();
      byte[] piece = new byte[(int) Math.min(PIECE, end - begin)];
      for (long from = begin; from < end; from += piece.length) {
        int length = (int) Math.min(piece.length, end - from);
        MemorySegment.copy(bytes, ValueLayout.JAVA_BYTE, from, piece, 0, length);
        checksum.update(piece, 0, length);
        ByteBuffer rest = ByteBuffer.wrap(piece, 0, length);
        while (rest.hasRemaining()) {
          out.write(rest, at + from + rest.position());
        }
      }
      return checksum.getValue();
    }
  }

  /** A module and where its parts go. */
  private record Laid(
      QuantizedModule module, ImmutableMap<String, Placed> parts, Optional<StoredType> bias) {
    Manifest.Entry write(FileChannel out) {
      ImmutableMap.Builder<String, Manifest.Part> written = ImmutableMap.builder();
      try {
        for (Map.Entry<String, Placed> part : parts.entrySet()) {
          written.put(part.getKey(), part.getValue().write(out));
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return new Manifest.Entry(
          module.report(),
          module.packed().scheme(),
          module.packed().groups(),
          written.buildOrThrow(),
          bias);
    }
  }
}
