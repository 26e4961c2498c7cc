package dev.gptq.formats.safetensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Safetensors files put together by hand, right or wrong. */
final class RawFile {
  /** Two tensors of 4 and 2 bytes. */
  static final String TWO_TENSORS =
      """
      {"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},\
      "b":{"dtype":"F16","shape":[1,1],"data_offsets":[4,6]}}\
      """;

  private RawFile() {}

  /** A file with that header and a number of bytes 1, 2, 3, … as data. */
  static byte[] bytes(String header, int data) {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer file =
        ByteBuffer.allocate(8 + json.length + data)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(json.length)
            .put(json);
    for (int i = 1; i <= data; i++) {
      file.put((byte) i);
    }
    return file.array();
  }

  /** Writes such a file. */
  static Path write(Path file, String header, int data) throws IOException {
    return Files.write(file, bytes(header, data));
  }
}
