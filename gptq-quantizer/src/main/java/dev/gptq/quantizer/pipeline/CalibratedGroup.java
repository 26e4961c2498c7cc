package dev.gptq.quantizer.pipeline;

import dev.gptq.models.family.Step;
import java.util.Optional;

/**
 * A group of linear layers that is about to be quantized.
 *
 * @param group the layers
 * @param home the device that has the statistics and quantizes them
 * @param statistics of their input; empty without calibration text
 * @param curvature what the loss of the whole model says about them, if gradients were taken
 */
record CalibratedGroup(
    Step.Linears group,
    int home,
    Optional<InputStatistics> statistics,
    Optional<GroupCurvature> curvature) {}
