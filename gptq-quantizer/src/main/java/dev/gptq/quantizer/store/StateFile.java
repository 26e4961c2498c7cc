package dev.gptq.quantizer.store;

import com.google.common.hash.Hashing;
import dev.gptq.backend.Backend;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Tensors one after the other: 32 bytes that say of which run, block and tensors they are, and then
 * of each tensor its elements, row by row, and their CRC-32C in 8 bytes, little-endian.
 */
final class StateFile {
  private static final int PIECE = 16 << 20;
  private static final int HEAD = 32;

  private final FileChannel channel;
  private long position;

  private StateFile(FileChannel channel) {
    this.channel = channel;
  }

  /** Bytes of a file with these tensors. */
  static long bytes(List<Tensor> tensors) {
    return HEAD + tensors.stream().mapToLong(tensor -> tensor.byteSize() + Long.BYTES).sum();
  }

  private static byte[] head(String key, int block, List<Tensor> tensors) {
    StringBuilder text = new StringBuilder(key).append(' ').append(block);
    for (Tensor tensor : tensors) {
      text.append(' ').append(tensor.type()).append(' ').append(tensor.rows());
      text.append(' ').append(tensor.columns());
    }
    return Hashing.sha256().hashString(text, StandardCharsets.UTF_8).asBytes();
  }

  /** Writes a file, which is made or replaced. */
  static void write(Path path, String key, int block, List<Tensor> tensors) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            path,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      StateFile file = new StateFile(channel);
      file.write(ByteBuffer.wrap(head(key, block, tensors)));
      for (Tensor tensor : tensors) {
        file.write(tensor);
      }
    }
  }

  private void write(Tensor tensor) throws IOException {
    CRC32C checksum = new CRC32C();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = arena.allocate((long) rowsOfPiece(tensor) * rowBytes(tensor));
      for (int from = 0, to; from < tensor.rows(); from = to) {
        to = Math.min(tensor.rows(), from + rowsOfPiece(tensor));
        tensor.rows(from, to).copyTo(piece);
        ByteBuffer bytes = piece.asSlice(0, (to - from) * rowBytes(tensor)).asByteBuffer();
        checksum.update(bytes.duplicate());
        write(bytes);
      }
    }
    write(number().putLong(checksum.getValue()).flip());
  }

  private void write(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      position += channel.write(bytes, position);
    }
  }

  /**
   * Fills tensors from a file. Throws {@link DamagedFileException} if it is not the file of these
   * tensors, or not as it was written.
   */
  static void read(Path path, String key, int block, Backend backend, List<Tensor> tensors)
      throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      if (channel.size() != bytes(tensors)) {
        throw new DamagedFileException(
            path, "it has " + channel.size() + " bytes and should have " + bytes(tensors));
      }
      StateFile file = new StateFile(channel);
      ByteBuffer head = ByteBuffer.allocate(HEAD);
      file.read(path, head);
      if (!head.equals(ByteBuffer.wrap(head(key, block, tensors)))) {
        throw new DamagedFileException(path, "it belongs to another run or block");
      }
      for (Tensor tensor : tensors) {
        file.read(path, backend, tensor);
      }
    }
  }

  private void read(Path path, Backend backend, Tensor tensor) throws IOException {
    CRC32C checksum = new CRC32C();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment piece = arena.allocate((long) rowsOfPiece(tensor) * rowBytes(tensor));
      for (int from = 0, to; from < tensor.rows(); from = to) {
        to = Math.min(tensor.rows(), from + rowsOfPiece(tensor));
        MemorySegment rows = piece.asSlice(0, (to - from) * rowBytes(tensor));
        ByteBuffer bytes = rows.asByteBuffer();
        read(path, bytes);
        checksum.update(bytes);
        try (TensorScope scope = backend.newScope()) {
          Tensor uploaded =
              scope.upload(rows, tensor.type(), to - from, tensor.columns(), Layout.ROW_MAJOR);
          backend.linalg().convert(uploaded, tensor.rows(from, to));
        }
      }
    }
    ByteBuffer expected = number();
    read(path, expected);
    if (expected.getLong() != checksum.getValue()) {
      throw new DamagedFileException(path, "some of it has changed");
    }
  }

  /** Fills a buffer and turns it to be read. */
  private void read(Path path, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      int count = channel.read(bytes, position);
      if (count < 0) {
        throw new DamagedFileException(path, "it ends at byte " + position);
      }
      position += count;
    }
    bytes.flip();
  }

  private static ByteBuffer number() {
    return ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static long rowBytes(Tensor tensor) {
    return (long) tensor.columns() * tensor.type().bytes();
  }

  private static int rowsOfPiece(Tensor tensor) {
    return Math.clamp(PIECE / rowBytes(tensor), 1, tensor.rows());
  }
}
