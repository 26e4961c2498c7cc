package dev.gptq.cli;

import dev.gptq.backend.Backend;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** JSON that commands print. */
final class Json {
  private static final JsonMapper MAPPER = JsonMapper.shared();

  private Json() {}

  static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  /** An object that begins with the command and the backend that ran. */
  static ObjectNode command(String name, Backend backend) {
    ObjectNode document = object().put("command", name).put("backend", backend.info().name());
    document.put("device", backend.info().device());
    return document;
  }

  static String line(JsonNode node) {
    return MAPPER.writeValueAsString(node);
  }
}
