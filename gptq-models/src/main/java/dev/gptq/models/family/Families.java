package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.Ints;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.models.config.ModelConfig;
import java.util.List;
import java.util.ServiceLoader;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;

/** The families that are known: those of every {@link FamilyProvider} on the class path. */
public final class Families {
  private static final ImmutableList<ModelFamily> KNOWN =
      ServiceLoader.load(FamilyProvider.class, FamilyProvider.class.getClassLoader()).stream()
          .flatMap(provider -> provider.get().families().stream())
          .collect(ImmutableList.toImmutableList());

  /** More than any layer has. */
  private static final int MOST_EXPERTS = 1 << 14;

  private Families() {}

  /**
   * The description of a model with the names that its checkpoint has: those of a language model,
   * of its bare decoder, or of either inside a model with other parts.
   */
  public static DecoderSpec describe(ModelConfig config, Checkpoint checkpoint) {
    ModelConfig text = config.text().boundedBy(matrices(checkpoint));
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

  /** Tensors, where one of several matrices counts as so many. */
  private static int matrices(Checkpoint checkpoint) {
    long count = 0;
    for (String name : checkpoint.names()) {
      List<Long> shape = checkpoint.require(name).shape();
      // The filters of a convolution are vectors.
      boolean several = shape.size() > 2 && shape.get(1) > 1 && shape.get(2) > 1;
      count += several ? Math.clamp(shape.getFirst(), 1, MOST_EXPERTS) : 1;
    }
    return Ints.saturatedCast(count);
  }

  /** The description of a model by its configuration alone, with the names of a language model. */
  public static DecoderSpec describe(ModelConfig config) {
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
