package dev.gptq.quantizer.store;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.Scheme;
import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32C;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * What the folder of a finished block holds. Lines of JSON: a head with the number of the block,
 * the key of the run, the number of modules and the bytes of the data; a line for each module with
 * its report and for each of its parts the place, the length and the CRC-32C; and last the CRC-32C
 * of all lines before, without which the manifest is not whole.
 *
 * @param block index of the block
 * @param key of the run
 * @param bytes of the data file
 * @param modules in the order in which they were quantized
 */
record Manifest(int block, String key, long bytes, ImmutableList<Entry> modules) {
  /** Its name in the folder of the block. */
  static final String FILE = "manifest.jsonl";

  private static final int VERSION = 1;
  private static final JsonMapper MAPPER = JsonMapper.shared();

  /** Where some bytes are in the data file, and their CRC-32C. */
  record Part(long at, long bytes, long checksum) {}

  /**
   * One module.
   *
   * @param groups number of groups
   * @param parts by name, see {@link BlockFiles}
   * @param bias type of the bias as the model has it, if the module has one
   */
  record Entry(
      ModuleReport report,
      Scheme scheme,
      int groups,
      ImmutableMap<String, Part> parts,
      Optional<StoredType> bias) {}

  /** The reports of the modules, in their order. */
  ImmutableList<ModuleReport> reports() {
    return modules.stream().map(Entry::report).collect(ImmutableList.toImmutableList());
  }

  /** The file's content. */
  byte[] encode() {
    StringBuilder text = new StringBuilder();
    ObjectNode head = MAPPER.createObjectNode();
    head.put("version", VERSION).put("block", block).put("key", key);
    head.put("modules", modules.size()).put("bytes", bytes);
    line(text, head);
    modules.forEach(module -> line(text, encode(module)));
    byte[] checked = text.toString().getBytes(StandardCharsets.UTF_8);
    line(text, MAPPER.createObjectNode().put("crc32c", checksum(checked)));
    return text.toString().getBytes(StandardCharsets.UTF_8);
  }

  private static ObjectNode encode(Entry module) {
    ObjectNode json = MAPPER.createObjectNode();
    json.put("scheme", module.scheme().id()).put("groups", module.groups());
    module.bias().ifPresent(type -> json.put("bias_type", type.name()));
    ObjectNode parts = json.putObject("parts");
    module
        .parts()
        .forEach((name, part) -> {
          ArrayNode numbers = parts.putArray(name);
          numbers.add(part.at()).add(part.bytes()).add(part.checksum());
        });
    json.set("report", MAPPER.readTree(QuantizationLog.line(module.report())));
    return json;
  }

  private static void line(StringBuilder text, ObjectNode json) {
    text.append(MAPPER.writeValueAsString(json)).append('\n');
  }

  /** Reads the file's content. Throws {@link DamagedFileException} if anything is missing. */
  static Manifest decode(Path file, byte[] content) throws DamagedFileException {
    String text = new String(content, StandardCharsets.UTF_8);
    int last = text.lastIndexOf('\n', text.length() - 2) + 1;
    byte[] checked = text.substring(0, last).getBytes(StandardCharsets.UTF_8);
    String expected =
        MAPPER.writeValueAsString(MAPPER.createObjectNode().put("crc32c", checksum(checked)));
    if (last == 0 || !text.substring(last).equals(expected + "\n")) {
      throw new DamagedFileException(
          file, content.length == 0 ? "it is empty" : "it is cut off or changed");
    }
    List<JsonNode> lines = new ArrayList<>();
    text.substring(0, last).lines().forEach(line -> lines.add(MAPPER.readTree(line)));
    JsonNode head = lines.getFirst();
    if (head.required("version").asInt() != VERSION) {
      throw new DamagedFileException(file, "another version of this program wrote it");
    }
    ImmutableList.Builder<Entry> modules = ImmutableList.builder();
    lines.subList(1, lines.size()).forEach(line -> modules.add(entry(line)));
    return new Manifest(
        head.required("block").asInt(),
        head.required("key").asString(),
        head.required("bytes").asLong(),
        modules.build());
  }

  private static Entry entry(JsonNode json) {
    ImmutableMap.Builder<String, Part> parts = ImmutableMap.builder();
    for (Map.Entry<String, JsonNode> part : json.required("parts").properties()) {
      JsonNode numbers = part.getValue();
      parts.put(
          part.getKey(),
          new Part(numbers.get(0).asLong(), numbers.get(1).asLong(), numbers.get(2).asLong()));
    }
    return new Entry(
        QuantizationLog.parse(MAPPER.writeValueAsString(json.required("report"))),
        Scheme.of(json.required("scheme").asString()),
        json.required("groups").asInt(),
        parts.buildOrThrow(),
        Optional.ofNullable(json.get("bias_type"))
            .map(type -> StoredType.valueOf(type.asString())));
  }

  private static long checksum(byte[] content) {
    CRC32C checksum = new CRC32C();
    checksum.update(content);
    return checksum.getValue();
  }
}
