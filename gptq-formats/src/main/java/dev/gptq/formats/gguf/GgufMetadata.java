package dev.gptq.formats.gguf;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** The entries of a GGUF file: a key, the number of a type, and a value; little-endian. */
public final class GgufMetadata {
  static final int U16 = 2;
  static final int U32 = 4;
  static final int I32 = 5;
  static final int F32 = 6;
  static final int BOOL = 7;
  static final int STRING = 8;
  static final int ARRAY = 9;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final Set<String> keys = new HashSet<>();

  /** Adds a text. */
  public void put(String key, String value) {
    key(key, STRING);
    text(bytes, value);
  }

  /** Adds an unsigned integer of 32 bits. */
  public void put(String key, int value) {
    key(key, U32);
    u32(bytes, value);
  }

  /** Adds an unsigned integer of 16 bits. */
  void putShort(String key, int value) {
    key(key, U16);
    bytes.write(value);
    bytes.write(value >>> 8);
  }

  /** Adds a signed integer of 32 bits. */
  void putSigned(String key, int value) {
    key(key, I32);
    u32(bytes, value);
  }

  /** Adds a real number. */
  public void put(String key, float value) {
    key(key, F32);
    u32(bytes, Float.floatToRawIntBits(value));
  }

  /** Adds a truth value. */
  public void put(String key, boolean value) {
    key(key, BOOL);
    bytes.write(value ? 1 : 0);
  }

  /** Adds a list of texts. */
  public void putTexts(String key, List<String> values) {
    array(key, STRING, values.size());
    values.forEach(value -> text(bytes, value));
  }

  /** Adds a list of signed integers. */
  public void putInts(String key, List<Integer> values) {
    array(key, I32, values.size());
    values.forEach(value -> u32(bytes, value));
  }

  /** Adds a list of real numbers. */
  public void putFloats(String key, List<Float> values) {
    array(key, F32, values.size());
    values.forEach(value -> u32(bytes, Float.floatToRawIntBits(value)));
  }

  /** Adds a list of truth values. */
  public void putTruths(String key, List<Boolean> values) {
    array(key, BOOL, values.size());
    values.forEach(value -> bytes.write(value ? 1 : 0));
  }

  int count() {
    return keys.size();
  }

  byte[] toBytes() {
    return bytes.toByteArray();
  }

  private void array(String key, int type, int count) {
    key(key, ARRAY);
    u32(bytes, type);
    u64(bytes, count);
  }

  private void key(String key, int type) {
    if (!keys.add(key)) {
      throw new IllegalArgumentException("'" + key + "' was added before");
    }
    text(bytes, key);
    u32(bytes, type);
  }

  static void text(ByteArrayOutputStream out, String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    u64(out, utf8.length);
    out.writeBytes(utf8);
  }

  static void u32(ByteArrayOutputStream out, int value) {
    out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
  }

  static void u64(ByteArrayOutputStream out, long value) {
    out.writeBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
  }
}
