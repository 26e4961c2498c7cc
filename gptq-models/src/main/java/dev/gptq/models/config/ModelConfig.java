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

  /** More features, or rows of a table, than any model has. */
  private static final int MOST_FEATURES = 1 << 24;

  /** More attention heads, and more channels of one, than any model has. */
  private static final int MOST_HEADS = 1 << 14;

  /** Ten times the blocks of the deepest models. */
  private static final int MOST_BLOCKS = 2048;

  /** Routed layers have at least this share of the blocks. */
  private static final int SPARSEST = 16;

  private final int tensors;

  private ModelConfig(JsonConfig settings, int tensors) {
    super(settings);
    this.tensors = tensors;
  }

  /** Reads the configuration of a checkpoint folder. */
  public static ModelConfig read(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      throw new BadInputException(missing(folder, file));
    }
    return of(JsonConfig.read(file));
  }

  private static String missing(Path folder, Path file) {
    if (Files.isDirectory(folder)) {
      return file + " is missing; give the folder of a Hugging Face checkpoint";
    }
    String remedy = "give the folder of a Hugging Face checkpoint or a GGUF file";
    return Files.exists(folder)
        ? folder + " is not a model that can be read; " + remedy
        : folder + " does not exist; " + remedy;
  }

  /** The settings of a file or section as those of a model. */
  public static ModelConfig of(JsonConfig settings) {
    return new ModelConfig(settings, Integer.MAX_VALUE);
  }

  /**
   * The same for a checkpoint of so many tensors, which bounds blocks and experts: a description
   * must not take memory out of proportion to what it describes.
   */
  public ModelConfig boundedBy(int count) {
    return new ModelConfig(this, count);
  }

  /** A number of features, or of rows of a table, under the first of several names. */
  public int size(String... keys) {
    return intBetween(anyKey(keys), 1, MOST_FEATURES);
  }

  /** A number of features, or of rows of a table, or a fallback where there is none. */
  public int size(String key, int fallback) {
    return intBetween(key, 1, MOST_FEATURES, fallback);
  }

  /** Positions of the longest window. */
  public int context(String key, int fallback) {
    return intBetween(key, 2, MOST_FEATURES, fallback);
  }

  /** Positions of the longest window, under the first of several names. */
  public int context(String... keys) {
    return intBetween(anyKey(keys), 2, MOST_FEATURES);
  }

  /** A number of attention heads, or of channels of one, under the first of several names. */
  public int heads(String... keys) {
    return intBetween(anyKey(keys), 1, MOST_HEADS);
  }

  /** A number of attention heads, or of channels of one, or a fallback where there is none. */
  public int heads(String key, int fallback) {
    return intBetween(key, 1, MOST_HEADS, fallback);
  }

  /** A number of attention heads that share {@code hidden} features evenly. */
  public int headsOf(int hidden, String... keys) {
    int heads = heads(keys);
    if (hidden % heads != 0) {
      throw new BadInputException(
          "%s: %d attention heads do not divide hidden size %d; is it the file of another model?"
              .formatted(file(), heads, hidden));
    }
    return heads;
  }

  /** The number of decoder blocks. */
  public int blocks(String... keys) {
    String key = anyKey(keys);
    int blocks = intBetween(key, 1, MOST_BLOCKS);
    if (blocks > tensors) {
      throw tooMany(key, blocks);
    }
    return blocks;
  }

  /** The number of experts of a routed layer in a model of so many blocks. */
  public int experts(int blocks, String... keys) {
    String key = anyKey(keys);
    int experts = intBetween(key, 1, MOST_HEADS);
    if ((long) experts * blocks > (long) SPARSEST * tensors) {
      throw tooMany(key, experts);
    }
    return experts;
  }

  private BadInputException tooMany(String key, int value) {
    return new BadInputException(
        "%s: '%s' is %d but the checkpoint has only %d tensors; is one of them of another model?"
            .formatted(file(), key, value, tensors));
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
          return new ModelConfig(section.with(shared), tensors);
        })
        .orElse(this);
  }

  /** The same settings, and others under keys that are not there. */
  public ModelConfig or(Map<String, ?> defaults) {
    return new ModelConfig(withDefaults(defaults), tensors);
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
    return optionalIntBetween("head_dim", 1, MOST_HEADS)
        .orElseGet(() -> {
          int hidden = size("hidden_size", "n_embd");
          int heads = heads("num_attention_heads", "n_head");
          if (hidden % heads != 0) {
            throw new BadInputException(
                "%s: %d attention heads do not divide hidden size %d and head_dim is missing"
                    .formatted(file(), heads, hidden));
          }
          return hidden / heads;
        });
  }
}
