package dev.gptq.cli;

import dev.gptq.formats.gptq.GptqConfig;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What a {@link QuantizationRun} is to do.
 *
 * @param settings how to quantize
 * @param config what the checkpoint will say
 * @param output the folder to write
 * @param overwrite whether it may be replaced
 * @param resume whether to go on from finished blocks
 * @param observing what to do afterwards
 * @param classicLog whether to write the log in lines of text too
 */
record RunRequest(
    QuantizationSettings settings,
    GptqConfig config,
    Path output,
    boolean overwrite,
    boolean resume,
    Optional<Observing> observing,
    boolean classicLog) {

  /** Quantizes and does nothing more. */
  static RunRequest plain(
      QuantizationSettings settings, GptqConfig config, Path output, boolean overwrite) {
    return new RunRequest(settings, config, output, overwrite, true, Optional.empty(), false);
  }
}
