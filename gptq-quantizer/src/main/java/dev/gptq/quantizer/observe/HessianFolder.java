package dev.gptq.quantizer.observe;

import dev.gptq.backend.Backend;
import dev.gptq.formats.FileFailure;
import dev.gptq.quantize.Hessian;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.Optional;
import java.util.zip.CRC32C;

/**
 * Hessians on disk, one file for each group of modules: the number of tokens (8 bytes), the number
 * of columns (8 bytes), the CRC-32C of what follows (8 bytes), and both triangles in float32. A
 * file is there whole or not at all.
 */
public final class HessianFolder {
  private static final int HEADER = 24;
  private static final int PIECE = 16 << 20;

  private final Path folder;

  /** Hessians in a folder, which is made when the first is put. */
  public HessianFolder(Path folder) {
    this.folder = folder;
  }

  /** Keeps the Hessian of a group; groups count from 0 in each block. */
  void put(int block, int group, Hessian hessian) {
    try {
      Files.createDirectories(folder);
      Path unfinished = Files.createTempFile(folder, "hessian", ".tmp");
      try (FileChannel file = FileChannel.open(unfinished, StandardOpenOption.WRITE)) {
        // Not through a mapping: a full disk would be a fault there and not an answer.
        write(file, hessian);
      }
      Files.move(unfinished, file(block, group), StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException(
          new IOException(
              "keeping a Hessian of block %d in %s failed: %s; once that is mended the same command goes on"
                      .formatted(block, folder, FileFailure.reason(e))
                  + " behind the blocks before it, which are kept",
              e));
    }
  }

  private static void write(FileChannel file, Hessian hessian) throws IOException {
    // Symmetric, so that rows are columns.
    Tensor matrix =
        hessian.matrix().layout() == Layout.ROW_MAJOR
            ? hessian.matrix()
            : hessian.matrix().transposed();
    CRC32C checksum = new CRC32C();
    try (Arena arena = Arena.ofConfined()) {
      int step = rowsOfPiece(matrix);
      MemorySegment piece = arena.allocate(step * rowBytes(matrix));
      for (int from = 0; from < matrix.rows(); from += step) {
        int to = Math.min(matrix.rows(), from + step);
        matrix.rows(from, to).copyTo(piece);
        ByteBuffer bytes = piece.asSlice(0, (to - from) * rowBytes(matrix)).asByteBuffer();
        checksum.update(bytes.duplicate());
        write(file, bytes, HEADER + from * rowBytes(matrix));
      }
    }
    ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(hessian.tokens()).putLong(hessian.columns()).putLong(checksum.getValue());
    write(file, header.flip(), 0);
  }

  private static void write(FileChannel file, ByteBuffer bytes, long position) throws IOException {
    for (long at = position; bytes.hasRemaining(); ) {
      at += file.write(bytes, at);
    }
  }

  /** The Hessian of a group, if it was put; its matrix lives in {@code scope}. */
  Optional<Hessian> find(int block, int group, Backend backend, TensorScope scope) {
    Path path = file(block, group);
    if (!Files.exists(path)) {
      return Optional.empty();
    }
    try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ)) {
      ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
      read(path, file, header, 0);
      long tokens = header.getLong();
      long columns = header.getLong();
      if (columns < 1
          || columns > Integer.MAX_VALUE
          || file.size() != HEADER + Float.BYTES * columns * columns) {
        throw damaged(path);
      }
      Tensor matrix = scope.rowMajor(DType.F32, (int) columns, (int) columns);
      if (fill(path, file, backend, matrix) != header.getLong()) {
        throw damaged(path);
      }
      return Optional.of(Hessian.of(backend, matrix, tokens));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Reads the elements, and returns their checksum. */
  private static long fill(Path path, FileChannel file, Backend backend, Tensor matrix)
      throws IOException {
    CRC32C checksum = new CRC32C();
    try (Arena arena = Arena.ofConfined()) {
      int step = rowsOfPiece(matrix);
      MemorySegment piece = arena.allocate(step * rowBytes(matrix));
      for (int from = 0; from < matrix.rows(); from += step) {
        int to = Math.min(matrix.rows(), from + step);
        MemorySegment rows = piece.asSlice(0, (to - from) * rowBytes(matrix));
        ByteBuffer bytes = rows.asByteBuffer();
        read(path, file, bytes, HEADER + from * rowBytes(matrix));
        checksum.update(bytes);
        try (TensorScope local = backend.newScope()) {
          Tensor uploaded =
              local.upload(rows, DType.F32, to - from, matrix.columns(), Layout.ROW_MAJOR);
          backend.linalg().convert(uploaded, matrix.rows(from, to));
        }
      }
    }
    return checksum.getValue();
  }

  private static void read(Path path, FileChannel file, ByteBuffer bytes, long position)
      throws IOException {
    for (long at = position; bytes.hasRemaining(); ) {
      int count = file.read(bytes, at);
      if (count < 0) {
        throw damaged(path);
      }
      at += count;
    }
    bytes.flip();
  }

  private static IOException damaged(Path path) {
    return new IOException(
        path + " is not what was written; check the disk and start again with --no-resume");
  }

  private static long rowBytes(Tensor matrix) {
    return (long) matrix.columns() * Float.BYTES;
  }

  private static int rowsOfPiece(Tensor matrix) {
    return Math.clamp(PIECE / rowBytes(matrix), 1, matrix.rows());
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
