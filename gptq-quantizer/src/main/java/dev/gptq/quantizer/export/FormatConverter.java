package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.gptq.GptqTensors;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import tools.jackson.databind.node.ObjectNode;

/** Rewrites a quantized checkpoint with the same codes, scales and zero points. */
public final class FormatConverter {
  /** What was declared is more exact about them than what was understood. */
  private static final ImmutableSet<String> KEPT = ImmutableSet.of("lm_head", "dynamic");

  private FormatConverter() {}

  /** Writes {@code output} in another format and returns the number of packed modules. */
  public static int convert(Model model, GptqConfig.Version format, Path output, boolean overwrite)
      throws IOException {
    GptqConfig from = model.quantization().orElseThrow();
    Checkpoint source = model.checkpoint();
    Set<String> modules = new LinkedHashSet<>();
    Set<String> parts = new LinkedHashSet<>();
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        String name = block.nameOf(linear);
        if (GptqTensors.has(source, name)) {
          modules.add(name);
          GptqTensors.PARTS.forEach(part -> parts.add(name + "." + part));
        }
      }
    }
    requireNoOther(model, parts);
    try (CheckpointWriter writer =
        CheckpointWriter.create(output, CheckpointExporter.options(model, overwrite))) {
      for (String name : source.names()) {
        if (!parts.contains(name)) {
          writer.add(source.require(name));
        }
      }
      for (String module : modules) {
        GptqTensors.write(
            writer,
            module,
            GptqTensors.read(source, module, from).matrix(),
            format,
            source.find(module + ".bias"));
      }
      CheckpointExporter.writeSideFiles(model, settings(model, from, format), writer);
      writer.commit();
    }
    return modules.size();
  }

  /** Zero points of a module that is not known would keep the old format under the new name. */
  private static void requireNoOther(Model model, Set<String> parts) {
    for (String name : model.checkpoint().names()) {
      if (name.endsWith(".qweight") && !parts.contains(name)) {
        throw new BadInputException(
            "%s: %s belongs to a quantized module that no block of the model has, so its zero points"
                    .formatted(model.checkpoint().require(name).file(), name)
                + " cannot be converted with the others");
      }
    }
  }

  /**
   * The settings as they are declared, keys included that mean nothing here, but for the format.
   */
  private static ObjectNode settings(Model model, GptqConfig from, GptqConfig.Version format)
      throws IOException {
    ObjectNode ours = from.withFormat(format).withMeta("converter", GptqConfig.producer()).toJson();
    ObjectNode declared = declared(model);
    for (String key : KEPT) {
      if (declared.has(key)) {
        ours.remove(key);
      }
    }
    ours.properties().forEach(setting -> declared.set(setting.getKey(), setting.getValue()));
    if (declared.has("version")) {
      declared.put("version", format.id());
    }
    return declared;
  }

  private static ObjectNode declared(Model model) throws IOException {
    Optional<JsonConfig> section = model.config().section(GptqConfig.KEY);
    return section.isPresent()
        ? section.get().json()
        : JsonConfig.read(model.folder().resolve(GptqConfig.FILE)).json();
  }
}
