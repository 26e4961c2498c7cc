package dev.gptq.cli.console;

import dev.gptq.backend.Backend;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** JSON that commands print. */
public final class JsonOutput {
  private static final JsonMapper MAPPER = JsonMapper.shared();

  private JsonOutput() {}

  public static ObjectNode object() {
    return MAPPER.createObjectNode();
  }

  /** An object that begins with the command and the backend that ran. */
  public static ObjectNode command(String name, Backend backend) {
    ObjectNode document = object().put("command", name).put("backend", backend.info().name());
    document.put("device", backend.info().device());
    return document;
  }

  public static String line(JsonNode node) {
    return MAPPER.writeValueAsString(node);
  }
}
