package dev.gptq.quantizer.run;

import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.forward.Derivatives;
import dev.gptq.quantizer.pipeline.Curvature;
import java.util.Optional;
import java.util.function.Consumer;

/** Which curvature a model is quantized with. */
public final class CurvatureChoice {
  private CurvatureChoice() {}

  /**
   * The one that was asked for, or that of the preset as far as gradients of the model can be
   * taken.
   *
   * @param notes hears why it is not that of the preset
   * @throws RequestException if the one that was asked for needs gradients that cannot be taken
   */
  public static Curvature of(
      DecoderSpec spec, Optional<Curvature> asked, Curvature preset, Consumer<String> notes) {
    Curvature wanted = asked.orElse(preset);
    Optional<String> missing =
        wanted.needsGradients() ? Derivatives.missing(spec) : Optional.empty();
    if (missing.isEmpty()) {
      if (wanted.needsGradients() && spec.blocks().stream().anyMatch(BlockSpec::hasExperts)) {
        notes.accept("experts go by the curvature of their inputs");
      }
      return wanted;
    }
    String why =
        "gradients of %s models cannot be taken: there is no derivative of %s yet"
            .formatted(spec.family(), missing.get());
    if (asked.isPresent()) {
      throw new RequestException(
          "--curvature %s needs gradients, and %s; leave it out".formatted(wanted.id(), why));
    }
    notes.accept(why + "; curvature of the inputs only");
    return Curvature.INPUTS;
  }
}
