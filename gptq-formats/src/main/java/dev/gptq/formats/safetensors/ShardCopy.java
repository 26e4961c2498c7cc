package dev.gptq.formats.safetensors;

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
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
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
  private final SpareBuffers buffers = new SpareBuffers();

  /**
   * Of those that copy a portion and those that read a piece back, the one or the others: a file
   * system lets in reads past its cache and writes of one file in turns anyway, and each of many
   * small writes would wait for reads.
   */
  private final ReentrantReadWriteLock turns = new ReentrantReadWriteLock(true);

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
   * Brings tensors to their places: a portion is forced to the disk while the next is copied.
   *
   * @param portions of whole tensors, taken together
   * @param waiting for threads that wait for the disk
   * @param onDisk is told of each portion, in their order, once the disk has it
   */
  void fill(List<Portion> portions, Executor waiting, Consumer<List<ReadBack.Written>> onDisk)
      throws IOException {
    CompletableFuture<List<ReadBack.Written>> forcing =
        CompletableFuture.completedFuture(List.of());
    try {
      for (Portion portion : portions) {
        List<ReadBack.Written> copied = copy(portion);
        onDisk.accept(forcing.join());
        forcing = CompletableFuture.supplyAsync(() -> forced(copied), waiting);
      }
      onDisk.accept(forcing.join());
    } catch (UncheckedIOException e) {
      throw e.getCause();
    } catch (CompletionException e) {
      if (e.getCause() instanceof UncheckedIOException failure) {
        throw failure.getCause();
      }
      throw e;
    } finally {
      // The file is not closed before.
      forcing.exceptionally(_ -> List.of()).join();
    }
    for (Portion portion : portions) {
      portion.parts().forEach(part -> missing.remove(part.tensor().name()));
    }
  }

  private List<ReadBack.Written> forced(List<ReadBack.Written> copied) {
    try {
      out.force(true);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return copied;
  }

  /** Reads back what is on the disk; see {@link ReadBack}. */
  Optional<String> verify(List<ReadBack.Written> some) throws IOException {
    return ReadBack.verify(file, some, buffers, turns.readLock());
  }

  private List<ReadBack.Written> copy(Portion portion) {
    turns.writeLock().lock();
    try {
      return portion.parts().stream().parallel().map(this::copy).toList();
    } finally {
      turns.writeLock().unlock();
    }
  }

  private ReadBack.Written copy(Portion.Part part) {
    StoredTensor tensor = part.tensor();
    long begin = data + entries.get(tensor.name()).begin() + part.from();
    MemorySegment elements = tensor.data().asSlice(part.from(), part.to() - part.from());
    try {
      return new ReadBack.Written(
          tensor.name(),
          begin,
          begin + elements.byteSize(),
          Crc32c.of(
              elements.byteSize(),
              (from, to) -> copy(elements.asSlice(from, to - from), begin + from)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private long copy(MemorySegment elements, long position) throws IOException {
    CRC32C checksum = new CRC32C();
    long size = elements.byteSize();
    MemorySegment buffer = buffers.take(PIECE, 1);
    try {
      for (long at = 0; at < size; at += PIECE) {
        int count = (int) Math.min(PIECE, size - at);
        MappedFiles.copy(elements, at, buffer, count);
        ByteBuffer piece = buffer.asByteBuffer().limit(count);
        checksum.update(piece);
        HeaderWriter.writeFully(out, piece.flip(), position + at);
      }
    } finally {
      buffers.giveBack(buffer);
    }
    return checksum.getValue();
  }

  @Override
  public void close() throws IOException {
    out.close();
  }
}
