package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.BadInputException;
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

  /** The description of a model. */
  public static DecoderSpec describe(ModelConfig config) {
    for (ModelFamily family : KNOWN) {
      if (family.modelTypes().contains(config.modelType())) {
        return family.describe(config);
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
