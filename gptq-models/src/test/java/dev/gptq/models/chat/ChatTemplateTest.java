package dev.gptq.models.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Templates with what those of real models use. The texts that are expected come from Jinja2 3.1 in
 * Python, set up as transformers does.
 */
final class ChatTemplateTest {
  private static final String TOKENS =
      "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}}";

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"headers", "thoughts", "turns", "parts"})
  void writesWhatJinjaDoes(String name) throws IOException {
    ChatTemplate template = template(new String(bytes(name + ".jinja"), StandardCharsets.UTF_8));
    JsonNode conversations = json("conversations.json");
    JsonNode expected = json("expected.json").path(name);
    int compared = 0;
    for (Map.Entry<String, JsonNode> conversation : conversations.properties()) {
      JsonNode text = expected.path(conversation.getKey());
      if (text.isString()) {
        assertThat(template.render(conversation.getValue(), conversation.getKey().equals("one")))
            .as(conversation.getKey())
            .isEqualTo(text.stringValue());
        compared++;
      } else if (name.equals("turns")) {
        assertThatThrownBy(() -> template.render(conversation.getValue(), false))
            .isInstanceOf(BadInputException.class);
      }
    }
    assertThat(compared).isPositive();
  }

  @Test
  void aTemplateMayRefuse() throws IOException {
    ChatTemplate template = template("{{ raise_exception('only ' + messages[0].role) }}");
    assertThatThrownBy(() -> template.render(json("conversations.json").path("two"), true))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("chat_template.jinja refuses the conversation: only user");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in messages %}",
        "{{ messages | unheardof }}",
        "{{ unheardof(messages) }}",
        "{{ messages[0].content.unheardof() }}",
        "{{ 1 if messages is unheardof }}",
        "{{ ''.getClass().forName('java.lang.Runtime') }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}xxxxxxxxxxxx{% endfor %}{% endfor %}"
      })
  void whatCannotRunIsAnErrorThatNamesTheFile(String source) throws IOException {
    JsonNode one = json("conversations.json").path("one");
    assertThatThrownBy(() -> template(source).render(one, true))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("chat_template.jinja: the chat template cannot be run");
  }

  @Test
  void olderFoldersKeepItInTheTokenizersConfiguration() throws IOException {
    assertThat(ChatTemplate.find(folder)).isEmpty();
    Path config = folder.resolve("tokenizer_config.json");
    Files.writeString(config, "{\"eos_token\": null}");
    assertThat(ChatTemplate.find(folder)).isEmpty();
    JsonNode one = json("conversations.json").path("one");
    Files.writeString(config, "{\"chat_template\": \"{{ messages[0].content }}!\"}");
    assertThat(ChatTemplate.find(folder).orElseThrow().render(one, false))
        .isEqualTo("Say something.!");
    Files.writeString(
        config,
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"no\"},"
            + " {\"name\": \"default\", \"template\": \"yes\"}]}");
    assertThat(ChatTemplate.find(folder).orElseThrow().render(one, false)).isEqualTo("yes");
    Files.writeString(config, "{\"chat_template\": [{\"name\": \"tool_use\"}]}");
    assertThatThrownBy(() -> ChatTemplate.find(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'chat_template' is neither");
  }

  @Test
  void datesComeAsInC() {
    var date = java.time.LocalDate.of(2026, 3, 7);
    assertThat(Dates.format("%d %b %Y", date)).isEqualTo("07 Mar 2026");
    assertThat(Dates.format("%A, %B %-d, %y-%m %H:%M 100%%", date))
        .isEqualTo("Saturday, March 7, 26-03 00:00 100%");
    assertThatThrownBy(() -> Dates.format("%Q", date)).isInstanceOf(BadInputException.class);
  }

  private ChatTemplate template(String source) throws IOException {
    Files.writeString(folder.resolve("chat_template.jinja"), source);
    Files.writeString(folder.resolve("tokenizer_config.json"), TOKENS);
    return ChatTemplate.find(folder).orElseThrow();
  }

  private static JsonNode json(String name) throws IOException {
    return JsonMapper.shared().readTree(bytes(name));
  }

  private static byte[] bytes(String name) throws IOException {
    try (InputStream input = ChatTemplateTest.class.getResourceAsStream("/chat/" + name)) {
      return input.readAllBytes();
    }
  }
}
