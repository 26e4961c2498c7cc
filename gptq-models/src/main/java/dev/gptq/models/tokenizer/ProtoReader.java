package dev.gptq.models.tokenizer;

import dev.gptq.formats.BadInputException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** The fields of a message in the wire format of Protocol Buffers, one after the other. */
final class ProtoReader {
  private static final int VARINT = 0;
  private static final int FIXED_64 = 1;
  private static final int BYTES = 2;
  private static final int FIXED_32 = 5;

  private final Path file;
  private final ByteBuffer buffer;
  private int field;
  private int kind;

  ProtoReader(Path file, byte[] bytes) {
    this(file, ByteBuffer.wrap(bytes));
  }

  private ProtoReader(Path file, ByteBuffer buffer) {
    this.file = file;
    this.buffer = buffer.order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Goes on to the next field; false behind the last. */
  boolean next() {
    if (!buffer.hasRemaining()) {
      return false;
    }
    int key = (int) varint();
    field = key >>> 3;
    kind = key & 7;
    return true;
  }

  /** The number of the field. */
  int field() {
    return field;
  }

  /** Its value as an integer, an enumeration or a truth value. */
  int integer() {
    require(VARINT);
    return (int) varint();
  }

  /** Its value as a float32. */
  float number() {
    require(FIXED_32);
    return slice(4).getFloat();
  }

  /** Its value as a text. */
  String text() {
    require(BYTES);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(slice(varint())).toString();
    } catch (CharacterCodingException e) {
      throw new BadInputException(damaged(file).getMessage(), e);
    }
  }

  /** Its value as bytes. */
  byte[] bytes() {
    require(BYTES);
    ByteBuffer slice = slice(varint());
    byte[] bytes = new byte[slice.remaining()];
    slice.get(bytes);
    return bytes;
  }

  /** Its value as a message. */
  ProtoReader message() {
    require(BYTES);
    return new ProtoReader(file, slice(varint()));
  }

  /** Leaves its value out. */
  void skip() {
    switch (kind) {
      case VARINT -> varint();
      case FIXED_64 -> slice(Long.BYTES);
      case FIXED_32 -> slice(Integer.BYTES);
      case BYTES -> slice(varint());
      default -> throw damaged(file);
    }
  }

  private void require(int expected) {
    if (kind != expected) {
      throw damaged(file);
    }
  }

  private long varint() {
    long value = 0;
    for (int shift = 0; shift < Long.SIZE; shift += 7) {
      byte next = slice(1).get();
      value |= (next & 0x7FL) << shift;
      if (next >= 0) {
        return value;
      }
    }
    throw damaged(file);
  }

  private ByteBuffer slice(long length) {
    if (length < 0 || length > buffer.remaining()) {
      throw damaged(file);
    }
    ByteBuffer slice = buffer.slice(buffer.position(), (int) length);
    buffer.position(buffer.position() + (int) length);
    return slice.order(ByteOrder.LITTLE_ENDIAN);
  }

  /** What to say of a file that is none. */
  static BadInputException damaged(Path file) {
    return new BadInputException(
        file
            + " is damaged, or no file of SentencePiece (a vocabulary of tiktoken cannot be read);"
            + " copy tokenizer.json from the original model");
  }
}
