package dev.gptq.bench.checkpoint;

import com.google.common.collect.ImmutableList;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * One file of a synthetic checkpoint.
 *
 * @param file where it is written
 * @param tensors what it holds
 * @param type of all of them
 */
record SyntheticShard(Path file, ImmutableList<TensorShape> tensors, WeightType type) {
  /** Elements that are drawn and written at once. */
  private static final long PIECE = 4 << 20;

  /**
   * A part of a tensor.
   *
   * @param position where it begins in the file, in bytes
   * @param bytes its size
   * @param seed decides its elements
   */
  record Piece(TensorShape tensor, long position, long bytes, long seed) {}

  private byte[] header() {
    ObjectNode root = JsonMapper.shared().createObjectNode();
    long position = 0;
    for (TensorShape tensor : tensors) {
      ObjectNode entry = root.putObject(tensor.name()).put("dtype", type.dtype());
      tensor.sizes().forEach(entry.putArray("shape")::add);
      long end = position + Short.BYTES * tensor.elements();
      entry.putArray("data_offsets").add(position).add(end);
      position = end;
    }
    String json = root.toString();
    return (json + " ".repeat(-json.length() & 7)).getBytes(StandardCharsets.UTF_8);
  }

  /** Writes the header and returns the pieces that must follow it. */
  List<Piece> begin() throws IOException {
    byte[] json = header();
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer start =
          ByteBuffer.allocate(Long.BYTES + json.length).order(ByteOrder.LITTLE_ENDIAN);
      write(channel, start.putLong(json.length).put(json).flip(), 0);
    }
    List<Piece> pieces = new ArrayList<>();
    long position = (long) Long.BYTES + json.length;
    for (TensorShape tensor : tensors) {
      for (long from = 0; from < tensor.elements(); from += PIECE) {
        long bytes = Short.BYTES * Math.min(PIECE, tensor.elements() - from);
        pieces.add(new Piece(tensor, position, bytes, tensor.name().hashCode() + (from << 32)));
        position += bytes;
      }
    }
    return pieces;
  }

  static void write(FileChannel channel, ByteBuffer bytes, long position) throws IOException {
    for (long at = position; bytes.hasRemaining(); ) {
      at += channel.write(bytes, at);
    }
  }
}
