package dev.gptq.quantizer.run;

import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What a {@link Quantization} is to do.
 *
 * @param settings how to quantize
 * @param config what the checkpoint will say
 * @param output the folder to write
 * @param overwrite whether it may be replaced
 * @param resume whether to go on from finished blocks
 * @param keptStates whether hidden states are kept beside them
 * @param observing what to do afterwards
 * @param classicLog whether to write the log in lines of text too
 */
public record RunRequest(
    QuantizationSettings settings,
    GptqConfig config,
    Path output,
    boolean overwrite,
    boolean resume,
    KeptStates keptStates,
    Optional<Observing> observing,
    boolean classicLog) {}
