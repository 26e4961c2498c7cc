package dev.gptq.quantizer.observe;

import com.google.common.base.Preconditions;
import dev.gptq.backend.Backend;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.Optional;

/**
 * Hessians on disk, one file for each group of modules: the number of tokens (8 bytes), the number
 * of columns (8 bytes), and both triangles in float32. Files are mapped, so that a Hessian needs no
 * room on the heap; a file is there whole or not at all.
 */
public final class HessianFolder {
  private static final long HEADER = 16;
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Path folder;

  /** Hessians in a folder, which is made when the first is put. */
  public HessianFolder(Path folder) {
    this.folder = folder;
  }

  /** Keeps the Hessian of a group; groups count from 0 in each block. */
  void put(int block, int group, Hessian hessian) {
    try (Arena arena = Arena.ofConfined()) {
      Files.createDirectories(folder);
      Path unfinished = Files.createTempFile(folder, "hessian", ".tmp");
      Tensor matrix = hessian.matrix();
      try (FileChannel file =
          FileChannel.open(unfinished, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        MemorySegment mapped = file.map(MapMode.READ_WRITE, 0, HEADER + matrix.byteSize(), arena);
        mapped.set(LONG, 0, hessian.tokens());
        mapped.set(LONG, 8, hessian.columns());
        matrix.copyTo(mapped.asSlice(HEADER));
      }
      Files.move(unfinished, file(block, group), StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The Hessian of a group, if it was put; its matrix lives in {@code scope}. */
  Optional<Hessian> find(int block, int group, Backend backend, TensorScope scope) {
    Path path = file(block, group);
    if (!Files.exists(path)) {
      return Optional.empty();
    }
    try (Arena arena = Arena.ofConfined();
        FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
      MemorySegment mapped = file.map(MapMode.READ_ONLY, 0, file.size(), arena);
      int columns = Math.toIntExact(mapped.get(LONG, 8));
      Preconditions.checkState(
          file.size() == HEADER + (long) Float.BYTES * columns * columns,
          "%s has %s bytes, too few or many for %s columns",
          path,
          file.size(),
          columns);
      Tensor matrix =
          scope.upload(mapped.asSlice(HEADER), DType.F32, columns, columns, Layout.ROW_MAJOR);
      return Optional.of(Hessian.of(backend, matrix, mapped.get(LONG, 0)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Deletes the Hessian of a group. */
  void delete(int block, int group) {
    try {
      Files.deleteIfExists(file(block, group));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Path file(int block, int group) {
    return folder.resolve(String.format(Locale.ROOT, "hessian-%05d-%05d", block, group));
  }
}
