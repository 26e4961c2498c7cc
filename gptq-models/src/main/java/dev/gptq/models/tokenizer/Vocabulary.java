package dev.gptq.models.tokenizer;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The ids that a {@code tokenizer.json} knows, added tokens included.
 *
 * @param file the {@code tokenizer.json}
 * @param mostId the largest id; −1 if there is none
 * @param mostToken the token of that id
 */
public record Vocabulary(Path file, int mostId, String mostToken) {

  /**
   * Reads a file. Throws {@link BadInputException} if it is no JSON, which must be found before the
   * native library sees the file: in some damaged ones it ends the process.
   */
  static Vocabulary read(Path file) throws IOException {
    try {
      JsonNode root = JsonMapper.shared().readTree(Files.readAllBytes(file));
      JsonNode vocabulary = root.path("model").path("vocab");
      Vocabulary most = new Vocabulary(file, -1, "");
      if (vocabulary.isArray() && !vocabulary.isEmpty()) {
        int last = vocabulary.size() - 1;
        most = most.orMore(last, vocabulary.get(last).path(0).asString(""));
      }
      if (vocabulary.isObject()) {
        for (Map.Entry<String, JsonNode> entry : vocabulary.properties()) {
          most = most.orMore(entry.getValue().intValue(), entry.getKey());
        }
      }
      for (JsonNode added : root.path("added_tokens")) {
        most = most.orMore(added.path("id").intValue(), added.path("content").asString(""));
      }
      return most;
    } catch (JacksonException e) {
      throw new BadInputException(
          "%s is not valid (%s); download it again".formatted(file, e.getOriginalMessage()), e);
    }
  }

  private Vocabulary orMore(int id, String token) {
    return id > mostId ? new Vocabulary(file, id, token) : this;
  }

  /** One more than the largest id. */
  public int size() {
    return mostId + 1;
  }

  /** What to say of a token whose id has no row in an embedding of {@code rows}. */
  BadInputException beyond(int id, String token, int rows) {
    return new BadInputException(
        "%s: token '%s' has id %d, but the model's embedding has %d rows and the tokenizer %d ids;"
                .formatted(file, token, id, rows, size())
            + " take the tokenizer that belongs to the model, or resize its embedding");
  }
}
