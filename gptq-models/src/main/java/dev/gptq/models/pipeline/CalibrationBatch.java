package dev.gptq.models.pipeline;

import dev.gptq.models.forward.Registers;

/**
 * Some calibration windows on their way through the model.
 *
 * @param registers their activations at the point that the calibration has reached
 * @param sequences number of windows
 */
record CalibrationBatch(Registers registers, int sequences) {}
