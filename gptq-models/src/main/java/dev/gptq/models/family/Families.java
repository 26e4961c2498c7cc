package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.models.config.ModelConfig;
import java.util.stream.Collectors;

/** The families that are known. */
public final class Families {
  private static final ImmutableList<ModelFamily> KNOWN =
      ImmutableList.of(
          new LlamaFamily(),
          new MistralFamily(),
          new MixtralFamily(),
          new QwenFamily(),
          new GemmaFamily(),
          new PhiFamily(),
          new OptFamily(),
          new BloomFamily(),
          new Gpt2Family(),
          new GptNeoxFamily());

  private Families() {}

  /** The description of a model with the names that its checkpoint has. */
  public static DecoderSpec describe(ModelConfig config, Checkpoint checkpoint) {
    ModelFamily family = find(config);
    DecoderSpec full = family.describe(config);
    DecoderSpec bare = full.withoutPrefix(family.base());
    boolean isBare =
        checkpoint.find(full.embedding().table()).isEmpty()
            && checkpoint.find(bare.embedding().table()).isPresent();
    return isBare ? bare : full;
  }

  /** The description of a model by its configuration alone. */
  static DecoderSpec describe(ModelConfig config) {
    return find(config).describe(config);
  }

  private static ModelFamily find(ModelConfig config) {
    for (ModelFamily family : KNOWN) {
      if (family.modelTypes().contains(config.modelType())) {
        return family;
      }
    }
    throw new BadInputException(
        config.file()
            + ": unknown architecture: model_type is '"
            + config.modelType()
            + "', architectures is "
            + config.architectures()
            + "; known model types: "
            + KNOWN.stream()
                .flatMap(f -> f.modelTypes().stream())
                .sorted()
                .collect(Collectors.joining(", ")));
  }
}
