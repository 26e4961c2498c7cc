package dev.gptq.quantizer.store;

import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.quantizer.pipeline.QuantizedModule;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A module as the work folder has it, or is about to.
 *
 * @param quantized its packed weights and report; the weights are mapped once it is read back
 * @param bias its bias as the model has it
 * @param file where it is, for messages
 */
public record KeptModule(QuantizedModule quantized, Optional<StoredTensor> bias, Path file) {}
