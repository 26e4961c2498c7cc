package dev.gptq.testkit;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Recorded inputs and outputs of the GPTQ authors' implementation: {@code golden/golden_ist.json}
 * describes them and {@code golden/golden_ist.safetensors} has the numbers.
 */
final class GoldenData {
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final JsonNode description;
  private final JsonNode header;
  private final MemorySegment tensors;

  private GoldenData(JsonNode description, JsonNode header, MemorySegment tensors) {
    this.description = description;
    this.header = header;
    this.tensors = tensors;
  }

  /** The data, unless the folder that system property {@code gptq.shared} names lacks them. */
  static Optional<GoldenData> find() {
    Path folder = Path.of(System.getProperty("gptq.shared", "../shared"), "golden");
    Path json = folder.resolve("golden_ist.json");
    if (!Files.exists(json)) {
      return Optional.empty();
    }
    try (FileChannel file = FileChannel.open(folder.resolve("golden_ist.safetensors"))) {
      MemorySegment all = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size(), Arena.ofAuto());
      long length = all.get(LONG, 0);
      String text =
          new String(all.asSlice(8, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.UTF_8);
      JsonMapper mapper = JsonMapper.shared();
      return Optional.of(
          new GoldenData(
              mapper.readTree(Files.readString(json)).get("cases").get("a"),
              mapper.readTree(text),
              all.asSlice(8 + length)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Names of the recorded runs of a method, {@code gptq} or {@code rtn}. */
  List<String> names(String method) {
    return List.copyOf(description.get(method).propertyNames());
  }

  /** A number of a recorded run. */
  double number(String method, String name, String variant, String what) {
    JsonNode run = description.get(method).get(name);
    return (variant.isEmpty() ? run : run.get("variants").get(variant)).get(what).asDouble();
  }

  /** A text of a recorded run. */
  String text(String method, String name, String what) {
    return description.get(method).get(name).get(what).asString();
  }

  /** A tensor of the file. */
  Matrix tensor(String name) {
    JsonNode entry = header.get(name);
    if (entry == null) {
      throw new IllegalArgumentException("no tensor " + name + " in golden_ist.safetensors");
    }
    JsonNode shape = entry.get("shape");
    int columns = shape.get(shape.size() - 1).asInt();
    int rows = shape.size() == 1 ? 1 : shape.get(0).asInt();
    long from = entry.get("data_offsets").get(0).asLong();
    long to = entry.get("data_offsets").get(1).asLong();
    return Matrix.filled(
            DType.valueOf(entry.get("dtype").asString()), Layout.ROW_MAJOR, rows, columns, 0)
        .decode(tensors.asSlice(from, to - from).toArray(ValueLayout.JAVA_BYTE));
  }
}
