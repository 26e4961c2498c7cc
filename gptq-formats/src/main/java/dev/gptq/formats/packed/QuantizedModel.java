package dev.gptq.formats.packed;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import tools.jackson.databind.JsonNode;

/**
 * What a configuration has to say about a quantized model.
 *
 * @param base settings of most modules
 * @param modules settings of each quantized module, by its full name
 * @param unquantized linear layers that were left as they are, the output layer included
 * @param rules regular expressions for modules that differ from {@code base}; see {@code dynamic}
 *     of GPTQ checkpoints
 * @param meta how the model was made; informational
 */
public record QuantizedModel(
    ModuleSettings base,
    ImmutableMap<String, ModuleSettings> modules,
    ImmutableList<String> unquantized,
    ImmutableMap<String, ModuleOverride> rules,
    ImmutableMap<String, JsonNode> meta) {}
