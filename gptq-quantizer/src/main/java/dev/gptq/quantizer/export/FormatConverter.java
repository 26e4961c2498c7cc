package dev.gptq.quantizer.export;

import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.formats.gptq.GptqTensors;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.models.Model;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Set;

/** Rewrites a quantized checkpoint with the same codes, scales and zero points. */
public final class FormatConverter {
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
      CheckpointExporter.writeSideFiles(model, from.withFormat(format), writer);
      writer.commit();
    }
    return modules.size();
  }
}
