package dev.gptq.formats.awq;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.QuantizedModel;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The settings of an AWQ checkpoint, which are those of all its modules. */
final class AwqSettings {
  private static final String VERSION = "gemm";

  private AwqSettings() {}

  /** Reads the section of {@code config.json}. */
  static ModuleSettings read(JsonConfig json) {
    String version = json.stringValue("version", VERSION);
    if (!version.equalsIgnoreCase(VERSION)) {
      throw new BadInputException(
          "%s: AWQ's version %s cannot be read, only %s can"
              .formatted(json.file(), version, VERSION));
    }
    int bits = json.anyInt("bits", "w_bit");
    int size = json.anyInt("group_size", "q_group_size");
    if (bits != AwqFormat.BITS || (size != -1 && size < 1)) {
      throw new BadInputException(
          "%s: AWQ with %d bits in groups of %d cannot be read; 4 bits can"
              .formatted(json.file(), bits, size));
    }
    return new ModuleSettings(bits, size, !json.booleanValue("zero_point", true), false);
  }

  /**
   * The section for a model. Throws {@link BadInputException} if its modules differ, or if loaders
   * would take a quantized one for one that is not, because they look for parts of names.
   */
  static ObjectNode toJson(QuantizedModel model) {
    int size = model.base().groupSize();
    for (Map.Entry<String, ModuleSettings> module : model.modules().entrySet()) {
      if (module.getValue().groupSize() != size) {
        throw new BadInputException(
            "awq has one group size for all modules: %s has %s where others have %s; write"
                    .formatted(module.getKey(), module.getValue().groupSize(), size)
                + " compressed-tensors or mlx");
      }
      for (String other : model.unquantized()) {
        if (module.getKey().contains(other)) {
          throw new BadInputException(
              "loaders of awq take %s for unquantized because %s is, whose name it contains; write"
                      .formatted(module.getKey(), other)
                  + " compressed-tensors or mlx");
        }
      }
    }
    ObjectNode json = JsonMapper.shared().createObjectNode();
    json.put("quant_method", AwqFormat.ID);
    json.put("bits", AwqFormat.BITS);
    json.put("group_size", size);
    json.put("zero_point", true);
    json.put("version", VERSION);
    ArrayNode names = json.putArray("modules_to_not_convert");
    model.unquantized().forEach(names::add);
    return json;
  }
}
