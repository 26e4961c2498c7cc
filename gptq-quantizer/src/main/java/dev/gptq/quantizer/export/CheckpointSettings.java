package dev.gptq.quantizer.export;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.ModuleSettings;
import tools.jackson.databind.JsonNode;

/**
 * How a quantized checkpoint is written.
 *
 * @param format the format of its modules
 * @param base settings of most modules
 * @param meta how the model was made; for its configuration
 * @param publication what its card says of it
 */
public record CheckpointSettings(
    Format format,
    ModuleSettings base,
    ImmutableMap<String, JsonNode> meta,
    Publication publication) {

  /** Without notes on how the model was made. */
  public static CheckpointSettings of(Format format, ModuleSettings base) {
    return new CheckpointSettings(format, base, ImmutableMap.of(), Publication.DEFAULT);
  }

  /** The same with a file that programs are given. */
  CheckpointSettings withWeightFile(String name) {
    return new CheckpointSettings(format, base, meta, publication.withWeightFile(name));
  }
}
