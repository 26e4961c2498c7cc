package dev.gptq.quantizer.gguf;

import dev.gptq.formats.BadInputException;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamily;

/** A model that becomes a GGUF file, and as what. */
record Subject(DecoderSpec spec, ModelConfig config, GgufFamily family) {
  /** Whether something holds of the family. */
  boolean has(GgufFamily.Trait trait) {
    return family.has(trait);
  }

  /** The first attention of the model. */
  Step.Attention attention() {
    return spec.blocks().stream()
        .flatMap(block -> block.steps(Step.Attention.class))
        .findFirst()
        .orElseThrow(() -> refused("no block has attention"));
  }

  /** How many of the first blocks have no experts. */
  int leadingDense() {
    return (int) spec.blocks().stream().takeWhile(block -> !block.hasExperts()).count();
  }

  /** To be thrown where a file cannot say something. */
  BadInputException refused(String what) {
    return new BadInputException(
        "%s: %s, which the GGUF architecture %s has no place for"
            .formatted(config.file(), what, family.architecture()));
  }
}
