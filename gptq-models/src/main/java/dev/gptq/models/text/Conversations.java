package dev.gptq.models.text;

import dev.gptq.models.chat.ChatTemplate;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import tools.jackson.databind.JsonNode;

/**
 * Makes texts of conversations: as the chat template of a model says, which keeps roles and special
 * tokens, or where there is none, turn after turn.
 */
public final class Conversations {
  private final Optional<ChatTemplate> template;
  private final Consumer<String> notes;
  private boolean told;

  private Conversations(Optional<ChatTemplate> template, Consumer<String> notes) {
    this.template = template;
    this.notes = notes;
  }

  /**
   * As the model in a folder was trained to read them.
   *
   * @param notes hears where it has no template and there are conversations
   */
  public static Conversations of(Path folder, Consumer<String> notes) throws IOException {
    return new Conversations(ChatTemplate.find(folder), notes);
  }

  /** Turn after turn, for texts whose figures are published without any template. */
  public static Conversations plain() {
    return new Conversations(Optional.empty(), note -> {});
  }

  String text(JsonNode messages) {
    if (template.isPresent()) {
      return template.get().render(messages, false);
    }
    if (!told) {
      told = true;
      notes.accept(
          "the model has no chat template: the turns of conversations are calibrated with as plain"
              + " text, without roles");
    }
    StringBuilder turns = new StringBuilder();
    for (JsonNode message : messages) {
      content(message.path("content"), turns);
    }
    return turns.toString();
  }

  private static void content(JsonNode content, StringBuilder turns) {
    if (content.isString()) {
      turns.append(content.stringValue()).append('\n');
    }
    for (JsonNode part : content) {
      if (part.path("text").isString()) {
        turns.append(part.path("text").stringValue()).append('\n');
      }
    }
  }
}
