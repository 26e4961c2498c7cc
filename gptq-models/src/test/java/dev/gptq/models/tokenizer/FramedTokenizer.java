package dev.gptq.models.tokenizer;

import dev.gptq.formats.SharedFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** The bundled tokenizer, made to put its special token before or behind every text. */
public final class FramedTokenizer {
  private FramedTokenizer() {}

  /** Writes it into a folder and returns the id of the special token. */
  public static int write(Path folder, boolean before, boolean behind) throws IOException {
    ObjectNode json =
        (ObjectNode)
            JsonMapper.shared()
                .readTree(Files.readAllBytes(SharedFiles.bundled("examples/tiny/tokenizer.json")));
    JsonNode token = json.get("added_tokens").get(0);
    String text = token.get("content").stringValue();
    int id = token.get("id").intValue();
    String special = "{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 0}}".formatted(text);
    List<String> parts = new ArrayList<>();
    if (before) {
      parts.add(special);
    }
    parts.add("{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}");
    if (behind) {
      parts.add(special);
    }
    json.set(
        "post_processor",
        JsonMapper.shared()
            .readTree(
                """
                {"type": "TemplateProcessing",
                 "single": %s,
                 "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                          {"Sequence": {"id": "B", "type_id": 0}}],
                 "special_tokens": {"%s": {"id": "%s", "ids": [%d], "tokens": ["%s"]}}}
                """
                    .formatted(parts, text, text, id, text)));
    Files.write(folder.resolve(Vocabulary.FILE), JsonMapper.shared().writeValueAsBytes(json));
    return id;
  }
}
