package dev.gptq.formats.packed;

import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.pack.PackedMatrix;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A quantized module that is to be written.
 *
 * @param name its full name
 * @param matrix its weights
 * @param bias its bias as the model has it
 * @param modelType the type in which the model runs
 * @param origin the file that messages about its tensors name
 */
public record PackedModule(
    String name,
    PackedMatrix matrix,
    Optional<StoredTensor> bias,
    StoredType modelType,
    Path origin) {}
