package dev.gptq.quantizer.pipeline;

import dev.gptq.models.family.Step;
import java.util.Optional;

/**
 * A group of linear layers that is about to be quantized.
 *
 * @param group the layers
 * @param statistics of their input; empty without calibration text
 */
record CalibratedGroup(Step.Linears group, Optional<InputStatistics> statistics) {}
