package dev.gptq.quantizer.gguf;

import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import java.util.Optional;

/** By what queries grow with their positions, as GGUF files say it. */
final class Temperature {
  private Temperature() {}

  /** That of a model, the same in all layers that have it. */
  static Optional<Step.Temper> of(DecoderSpec spec) {
    return spec.blocks().stream().flatMap(block -> block.steps(Step.Temper.class)).findFirst();
  }

  static void describe(Step.Temper temper, GgufMetadata metadata, String prefix) {
    metadata.put(prefix + "attention.temperature_scale", (float) temper.factor());
    metadata.put(prefix + "attention.temperature_length", temper.run());
  }
}
