package dev.gptq.formats.safetensors;

import com.google.common.collect.ImmutableMap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.Comparator;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/** Writes what stands before the elements in a safetensors file. */
final class HeaderWriter {
  /** An order of tensors that aligns each of them, although the format forbids gaps. */
  static final Comparator<StoredType> WIDEST_FIRST =
      Comparator.comparingInt(StoredType::bytes).reversed();

  private HeaderWriter() {}

  /**
   * The length of the header and the header.
   *
   * @param tensors in the order in which their elements follow, without gaps; where their entries
   *     say that they are does not matter
   */
  static ByteBuffer header(List<TensorEntry> tensors, ImmutableMap<String, String> metadata) {
    ObjectNode root = Json.MAPPER.createObjectNode();
    metadata.forEach(root.putObject("__metadata__").put("format", "pt")::put);
    long position = 0;
    for (TensorEntry entry : tensors) {
      ObjectNode tensor = root.putObject(entry.name()).put("dtype", entry.type().name());
      entry.shape().forEach(tensor.putArray("shape")::add);
      long end = position + entry.byteSize();
      tensor.putArray("data_offsets").add(position).add(end);
      position = end;
    }
    byte[] json = Json.MAPPER.writeValueAsBytes(root);
    int padded = Math.ceilDiv(json.length, Long.BYTES) * Long.BYTES;
    ByteBuffer header =
        ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN).putLong(padded);
    header.put(json);
    while (header.hasRemaining()) {
      header.put((byte) ' ');
    }
    return header.flip();
  }

  /** Writes all of {@code source} at a position of a file. */
  static void writeFully(FileChannel channel, ByteBuffer source, long position) throws IOException {
    for (long at = position; source.hasRemaining(); ) {
      at += channel.write(source, at);
    }
  }
}
