package dev.gptq.quantizer.pipeline;

import com.google.common.collect.ImmutableList;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** {@link ModuleReport}s as lines of JSON; a number that was not measured is {@code null}. */
public final class QuantizationLog {
  /** Name of the log in the folder of a quantized checkpoint. */
  public static final String FILE = "quantization-log.jsonl";

  private static final JsonMapper MAPPER = JsonMapper.shared();

  private QuantizationLog() {}

  /** One line, without its end. */
  public static String line(ModuleReport report) {
    ObjectNode json = MAPPER.createObjectNode();
    json.put("layer", report.layer());
    json.put("module", report.module());
    json.put("name", report.name());
    json.put("rows", report.rows());
    json.put("columns", report.columns());
    json.put("bits", report.bits());
    json.put("group_size", report.groupSize());
    json.put("sym", report.sym());
    put(json, "error", report.error());
    put(json, "relative_error", report.relativeError());
    put(json, "rtn_error", report.rtnError());
    put(json, "rtn_relative_error", report.rtnRelativeError());
    put(json, "damp", report.damp());
    json.put("tokens", report.tokens());
    json.put("fallback", report.fallback().isEmpty() ? null : report.fallback());
    json.put("seconds", report.seconds());
    return MAPPER.writeValueAsString(json);
  }

  /** Reads a line. */
  public static ModuleReport parse(String line) {
    JsonNode json = MAPPER.readTree(line);
    return new ModuleReport(
        json.required("layer").asInt(),
        json.required("module").asString(),
        json.required("name").asString(),
        json.required("rows").asInt(),
        json.required("columns").asInt(),
        json.required("bits").asInt(),
        json.required("group_size").asInt(),
        json.required("sym").asBoolean(),
        number(json, "error"),
        number(json, "relative_error"),
        number(json, "rtn_error"),
        number(json, "rtn_relative_error"),
        number(json, "damp"),
        json.required("tokens").asLong(),
        json.path("fallback").asString(""),
        json.required("seconds").asDouble());
  }

  /** The log of a quantized checkpoint. */
  public static ImmutableList<ModuleReport> read(Path folder) throws IOException {
    return Files.readAllLines(folder.resolve(FILE)).stream()
        .map(QuantizationLog::parse)
        .collect(ImmutableList.toImmutableList());
  }

  private static void put(ObjectNode json, String key, double value) {
    if (Double.isFinite(value)) {
      json.put(key, value);
    } else {
      json.putNull(key);
    }
  }

  private static double number(JsonNode json, String key) {
    JsonNode value = json.required(key);
    return value.isNull() ? Double.NaN : value.asDouble();
  }
}
