package dev.gptq.quantizer.store;

import com.google.common.hash.Hashing;
import dev.gptq.quantizer.pipeline.KeptRows;
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
 * Tensors one after the other: 32 bytes that say of which run, block and states they are, and then
 * of each state its elements, row by row, and their CRC-32C in 8 bytes, little-endian.
 */
final class StateFile {
  private static final int PIECE = 16 << 20;
  private static final int HEAD = 32;

  private final FileChannel channel;
  private long position;

  private StateFile(FileChannel channel) {
    this.channel = channel;
  }

  /** Bytes of a file with these states. */
  static long bytes(List<? extends KeptRows> states) {
    return HEAD + states.stream().mapToLong(state -> state.byteSize() + Long.BYTES).sum();
  }

  private static byte[] head(String key, int block, List<? extends KeptRows> states) {
    StringBuilder text = new StringBuilder(key).append(' ').append(block);
    for (KeptRows state : states) {
      text.append(' ').append(state.type()).append(' ').append(state.rows());
      text.append(' ').append(state.columns());
    }
    return Hashing.sha256().hashString(text, StandardCharsets.UTF_8).asBytes();
  }

  /** Writes a file, which is made or replaced. */
  static void write(Path path, String key, int block, List<? extends KeptRows> states)
      throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            path,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      StateFile file = new StateFile(channel);
      file.write(ByteBuffer.wrap(head(key, block, states)));
      for (KeptRows state : states) {
        file.write(state);
      }
    }
  }

  private void write(KeptRows state) throws IOException {
    CRC32C checksum = new CRC32C();
    try (Arena arena = Arena.ofShared()) {
      MemorySegment piece = arena.allocate((long) rowsOfPiece(state) * rowBytes(state));
      for (int from = 0, to; from < state.rows(); from = to) {
        to = Math.min(state.rows(), from + rowsOfPiece(state));
        state.copyTo(from, to, piece);
        ByteBuffer bytes = piece.asSlice(0, (to - from) * rowBytes(state)).asByteBuffer();
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
   * Fills states from a file. Throws {@link DamagedFileException} if it is not the file of these
   * states, or not as it was written.
   */
  static void read(Path path, String key, int block, List<? extends KeptRows> states)
      throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      if (channel.size() != bytes(states)) {
        throw new DamagedFileException(
            path, "it has " + channel.size() + " bytes and should have " + bytes(states));
      }
      StateFile file = new StateFile(channel);
      ByteBuffer head = ByteBuffer.allocate(HEAD);
      file.read(path, head);
      if (!head.equals(ByteBuffer.wrap(head(key, block, states)))) {
        throw new DamagedFileException(path, "it belongs to another run or block");
      }
      for (KeptRows state : states) {
        file.read(path, state);
      }
    }
  }

  private void read(Path path, KeptRows state) throws IOException {
    CRC32C checksum = new CRC32C();
    try (Arena arena = Arena.ofShared()) {
      MemorySegment piece = arena.allocate((long) rowsOfPiece(state) * rowBytes(state));
      for (int from = 0, to; from < state.rows(); from = to) {
        to = Math.min(state.rows(), from + rowsOfPiece(state));
        MemorySegment rows = piece.asSlice(0, (to - from) * rowBytes(state));
        ByteBuffer bytes = rows.asByteBuffer();
        read(path, bytes);
        checksum.update(bytes);
        state.fill(from, to, rows);
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

  private static long rowBytes(KeptRows state) {
    return (long) state.columns() * state.type().bytes();
  }

  private static int rowsOfPiece(KeptRows state) {
    return Math.clamp(PIECE / rowBytes(state), 1, state.rows());
  }
}
