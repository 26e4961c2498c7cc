package dev.gptq.models.config;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** The {@code config.json} of a checkpoint, or the section of one that describes the text model. */
public final class ModelConfig extends JsonConfig {
  /** The name of the file in a checkpoint folder. */
  public static final String FILE = "config.json";

  private static final ImmutableList<String> WHOLE_MODEL =
      ImmutableList.of("tie_word_embeddings", "eos_token_id", "architectures");

  private ModelConfig(JsonConfig settings) {
    super(settings);
  }

  /** Reads the configuration of a checkpoint folder. */
  public static ModelConfig read(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      throw new BadInputException(
          file + " is missing; give the folder of a Hugging Face checkpoint");
    }
    return of(JsonConfig.read(file));
  }

  /** The settings of a file or section as those of a model. */
  public static ModelConfig of(JsonConfig settings) {
    return new ModelConfig(settings);
  }

  /**
   * The settings of the text model: the section {@code text_config} of a model with other parts, or
   * these. What is said outside about the whole model holds, whatever the section says.
   */
  public ModelConfig text() {
    return section("text_config")
        .map(section -> {
          Map<String, JsonNode> shared = new HashMap<>();
          for (String key : WHOLE_MODEL) {
            find(key).ifPresent(value -> shared.put(key, value));
          }
          return of(section.with(shared));
        })
        .orElse(this);
  }

  /** The same settings, and others under keys that are not there. */
  public ModelConfig or(Map<String, ?> defaults) {
    return of(withDefaults(defaults));
  }

  /** The architecture, such as {@code llama}. */
  public String modelType() {
    return stringValue("model_type");
  }

  /** The classes that the checkpoint was saved from, such as {@code LlamaForCausalLM}. */
  public ImmutableList<String> architectures() {
    return stringList("architectures");
  }

  /** Rotary position parameters of all layers. */
  public RopeParameters rope() {
    return RopeParameters.of(this, Optional.empty());
  }

  /** Rotary position parameters of layers of one type, such as {@code sliding_attention}. */
  public RopeParameters rope(String layerType) {
    return RopeParameters.of(this, Optional.of(layerType));
  }

  /** Features of an attention head: {@code head_dim}, or the hidden size over the heads. */
  public int headDim() {
    return optionalInt("head_dim")
        .orElseGet(() -> {
          int hidden = anyInt("hidden_size", "n_embd");
          int heads = anyInt("num_attention_heads", "n_head");
          if (heads <= 0 || hidden % heads != 0) {
            throw new BadInputException(
                "%s: %d attention heads do not divide hidden size %d and head_dim is missing"
                    .formatted(file(), heads, hidden));
          }
          return hidden / heads;
        });
  }
}
