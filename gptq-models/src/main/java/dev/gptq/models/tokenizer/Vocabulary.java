package dev.gptq.models.tokenizer;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The ids that a {@code tokenizer.json} knows. */
final class Vocabulary {
  private Vocabulary() {}

  /** One more than the largest id, added tokens included. */
  static int size(Path file) throws IOException {
    try {
      JsonNode root = JsonMapper.shared().readTree(Files.readAllBytes(file));
      JsonNode vocabulary = root.path("model").path("vocab");
      int largest = vocabulary.isArray() ? vocabulary.size() - 1 : -1;
      if (vocabulary.isObject()) {
        for (JsonNode id : vocabulary) {
          largest = Math.max(largest, id.intValue());
        }
      }
      for (JsonNode added : root.path("added_tokens")) {
        largest = Math.max(largest, added.path("id").intValue());
      }
      return largest + 1;
    } catch (JacksonException e) {
      throw new BadInputException(
          "%s is not valid (%s); download it again".formatted(file, e.getOriginalMessage()), e);
    }
  }
}
