package dev.gptq.quantizer.pipeline;

import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Step;
import dev.gptq.quantize.PackingLane;

/**
 * Which models have their codes brought to the host by a {@link PackingLane}, while the device goes
 * on: those without experts. Experts are solved side by side, so that the device has other work
 * while the codes of one are brought.
 */
final class CodesAside {
  /** Bytes of a group's scale and zero point. */
  private static final long GRID_BYTES = 2L * Float.BYTES;

  private CodesAside() {}

  static boolean serves(DecoderSpec spec) {
    return spec.blocks().stream()
        .flatMap(block -> block.steps().stream())
        .noneMatch(Step.Gather.class::isInstance);
  }

  /** Bytes that codes and grids take which are on their way: those of one group of modules. */
  static long bytes(DecoderSpec spec, QuantizationSettings settings) {
    if (!serves(spec)) {
      return 0;
    }
    return spec.blocks().stream()
        .flatMap(block ->
            block.steps().stream()
                .filter(Step.Linears.class::isInstance)
                .map(Step.Linears.class::cast)
                .map(group ->
                    group.modules().stream()
                        .mapToLong(module -> bytes(block, module, settings))
                        .sum()))
        .max(Long::compare)
        .orElse(0L);
  }

  private static long bytes(BlockSpec block, LinearSpec module, QuantizationSettings settings) {
    long inputs = module.inputs();
    int group = settings.optionsOf(block.nameOf(module)).groupColumns(module.inputs());
    return module.outputs() * (inputs + GRID_BYTES * Math.ceilDiv(inputs, group));
  }
}
