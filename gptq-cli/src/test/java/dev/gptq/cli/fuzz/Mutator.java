package dev.gptq.cli.fuzz;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Changes files: some as bytes, those that are JSON also by their parts. */
final class Mutator {
  private static final JsonMapper JSON = JsonMapper.shared();

  /** Values that programs forget. */
  private static final List<String> VALUES =
      List.of(
          "0",
          "-1",
          "1",
          "2",
          "3",
          "7",
          "2147483647",
          "-2147483648",
          "4294967296",
          "9223372036854775807",
          "-9223372036854775808",
          "18446744073709551616",
          "1e308",
          "1e-320",
          "-0.0",
          "0.5",
          "null",
          "true",
          "false",
          "\"\"",
          "\"x\"",
          "\"../outside/model.safetensors\"",
          "\"/\"",
          "\"a\\u0000b\"",
          "\"F32\"",
          "\"model.safetensors\"",
          "[]",
          "{}",
          "[0]",
          "[2147483647,2147483647]",
          "[-1,3]",
          "{\"a\":1}",
          "[[[[]]]]");

  private final SplittableRandom random;

  Mutator(SplittableRandom random) {
    this.random = random;
  }

  /** A changed copy of a file that may be JSON. */
  byte[] change(byte[] content) {
    byte[] changed = content;
    for (int i = random.nextInt(3); i >= 0; i--) {
      changed = random.nextInt(5) < 3 ? json(changed) : bytes(changed);
    }
    return changed;
  }

  /** A changed copy of a safetensors file; the length of its header is mostly right. */
  byte[] changeShard(byte[] content) {
    if (random.nextInt(4) == 0 || content.length < Long.BYTES) {
      return bytes(content);
    }
    long length = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 0 || length > content.length - Long.BYTES) {
      return bytes(content);
    }
    int end = Long.BYTES + (int) length;
    byte[] header = change(Arrays.copyOfRange(content, Long.BYTES, end));
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    file.writeBytes(
        ByteBuffer.allocate(Long.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(random.nextInt(8) == 0 ? random.nextLong() : header.length)
            .array());
    file.writeBytes(header);
    file.write(content, end, content.length - end);
    return file.toByteArray();
  }

  /** A changed copy, whatever the bytes mean. */
  byte[] bytes(byte[] content) {
    if (content.length == 0) {
      return new byte[] {(byte) random.nextInt()};
    }
    byte[] bytes = content.clone();
    int at = random.nextInt(bytes.length);
    int length = Math.min(bytes.length - at, 1 + random.nextInt(1 << random.nextInt(8)));
    switch (random.nextInt(7)) {
      case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
      case 1 -> bytes[at] = (byte) random.nextInt();
      case 2 -> Arrays.fill(bytes, at, at + length, (byte) (random.nextBoolean() ? 0 : 255));
      case 3 ->
          System.arraycopy(content, random.nextInt(content.length - length + 1), bytes, at, length);
      case 4 -> bytes = Arrays.copyOf(bytes, at);
      case 5 -> bytes = splice(content, at, at + length, new byte[0]);
      default ->
          bytes =
              splice(
                  content,
                  at,
                  random.nextBoolean() ? at : at + length,
                  value().getBytes(StandardCharsets.UTF_8));
    }
    return bytes;
  }

  private static byte[] splice(byte[] content, int from, int to, byte[] between) {
    ByteArrayOutputStream spliced = new ByteArrayOutputStream();
    spliced.write(content, 0, from);
    spliced.writeBytes(between);
    spliced.write(content, to, content.length - to);
    return spliced.toByteArray();
  }

  private String value() {
    return VALUES.get(random.nextInt(VALUES.size()));
  }

  /** Changes a part of a document, or of one of its lines. */
  private byte[] json(byte[] content) {
    String text = new String(content, StandardCharsets.UTF_8);
    try {
      return changed(JSON.readTree(text));
    } catch (JacksonException e) {
      return bytes(content);
    }
  }

  private byte[] changed(JsonNode root) {
    List<JsonNode> containers = new ArrayList<>();
    collect(root, containers);
    if (containers.isEmpty()) {
      return value().getBytes(StandardCharsets.UTF_8);
    }
    switch (containers.get(random.nextInt(containers.size()))) {
      case ObjectNode object -> change(object);
      case ArrayNode array -> change(array);
      default -> throw new IllegalStateException();
    }
    return JSON.writeValueAsBytes(root);
  }

  private static void collect(JsonNode node, List<JsonNode> containers) {
    if (node.isContainer() && !node.isEmpty()) {
      containers.add(node);
    }
    node.forEach(child -> collect(child, containers));
  }

  private void change(ObjectNode object) {
    List<String> names = object.properties().stream().map(property -> property.getKey()).toList();
    String name = names.get(random.nextInt(names.size()));
    switch (random.nextInt(6)) {
      case 0 -> object.remove(name);
      case 1 -> object.set(names.get(random.nextInt(names.size())), object.get(name).deepCopy());
      case 2 -> object.set(name + random.nextInt(10), object.remove(name));
      case 3 -> object.set(name, JSON.createArrayNode().add(object.get(name)));
      default -> object.set(name, JSON.readTree(value()));
    }
  }

  private void change(ArrayNode array) {
    int at = random.nextInt(array.size());
    switch (random.nextInt(4)) {
      case 0 -> array.remove(at);
      case 1 -> array.add(array.get(at).deepCopy());
      case 2 -> array.set(at, array.get(random.nextInt(array.size())).deepCopy());
      default -> array.set(at, JSON.readTree(value()));
    }
  }
}
