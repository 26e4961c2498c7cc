package dev.gptq.models.tokenizer;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.json.JsonConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * Which texts are the special tokens of a model, as {@code tokenizer_config.json} names them.
 *
 * @param file the {@code tokenizer_config.json}, whether or not it is there
 * @param texts by name, such as {@code bos_token}
 */
public record SpecialTokens(Path file, ImmutableMap<String, String> texts) {
  /** The file that names them. */
  public static final String FILE = "tokenizer_config.json";

  /**
   * Those of a checkpoint folder. Where the file is missing, none but the begin and the end that
   * {@code tekken.json} or {@code tokenizer.model} names where they are all there is.
   */
  public static SpecialTokens read(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    ImmutableMap.Builder<String, String> texts = ImmutableMap.builder();
    if (Files.isRegularFile(file)) {
      JsonConfig.read(file)
          .json()
          .properties()
          .forEach(entry -> {
            String text = text(entry.getValue());
            if (entry.getKey().endsWith("_token") && !text.isEmpty()) {
              texts.put(entry.getKey(), text);
            }
          });
    } else {
      texts.putAll(TokenizerSource.ends(folder));
    }
    return new SpecialTokens(file, texts.buildOrThrow());
  }

  /** A token is a text, or an object that also says how it is matched. */
  private static String text(JsonNode value) {
    return value.isObject() ? value.path("content").asString("") : value.asString("");
  }

  /** What a text begins with. */
  public Optional<String> bos() {
    return Optional.ofNullable(texts.get("bos_token"));
  }

  /** What a text ends with. */
  public Optional<String> eos() {
    return Optional.ofNullable(texts.get("eos_token"));
  }
}
