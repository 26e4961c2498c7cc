package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.models.config.ModelConfig;
import java.util.ServiceLoader;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/** The families that are known: those of every {@link FamilyProvider} on the class path. */
public final class Families {
  private static final ImmutableList<ModelFamily> KNOWN =
      ServiceLoader.load(FamilyProvider.class, FamilyProvider.class.getClassLoader()).stream()
          .flatMap(provider -> provider.get().families().stream())
          .collect(ImmutableList.toImmutableList());

  private Families() {}

  /**
   * The description of a model with the names that its checkpoint has: those of a language model,
   * of its bare decoder, or of either inside a model with other parts.
   */
  public static DecoderSpec describe(ModelConfig config, Checkpoint checkpoint) {
    ModelConfig text = config.text().boundedBy(checkpoint.names().size());
    ModelFamily family = find(text);
    DecoderSpec full = family.describe(text);
    String base = family.base();
    ImmutableList<UnaryOperator<String>> namings =
        ImmutableList.of(
            name -> name,
            name -> strip(base, name),
            name -> "language_model." + name,
            name -> "language_model." + strip(base, name),
            name -> name.startsWith(base) ? base + "language_model." + strip(base, name) : name);
    for (UnaryOperator<String> naming : namings) {
      if (checkpoint.find(naming.apply(full.embedding().table())).isPresent()) {
        return full.renamed(naming);
      }
    }
    return full;
  }

  /** The description of a model by its configuration alone. */
  static DecoderSpec describe(ModelConfig config) {
    ModelConfig text = config.text();
    return find(text).describe(text);
  }

  private static String strip(String base, String name) {
    return name.startsWith(base) ? name.substring(base.length()) : name;
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
