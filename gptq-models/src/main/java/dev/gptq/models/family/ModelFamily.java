package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/** Describes the models of one family from their {@code config.json}. */
public interface ModelFamily {
  /** The values of {@code model_type} that this family understands. */
  ImmutableSet<String> modelTypes();

  /** What checkpoints of the bare decoder, without head, leave out of the names of tensors. */
  default String base() {
    return "model.";
  }

  /**
   * The description of one model.
   *
   * @param config the settings of the text model
   * @throws dev.gptq.formats.BadInputException if the configuration asks for something that the
   *     description cannot express, by name
   */
  DecoderSpec describe(ModelConfig config);
}
