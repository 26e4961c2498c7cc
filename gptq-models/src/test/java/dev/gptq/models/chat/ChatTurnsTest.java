package dev.gptq.models.chat;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.primitives.ImmutableIntArray;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every character is a token, and a semicolon ends a text. */
final class ChatTurnsTest {
  private static final String TURNS =
      "Be brief.{% for m in messages %}<{{ m.role }}>{{ m.content }};{% endfor %}";

  @TempDir private Path folder;

  private Optional<ChatTurns> turns(String template) throws IOException {
    Files.writeString(folder.resolve("chat_template.jinja"), template);
    return ChatTurns.of(
        ChatTemplate.find(folder).orElseThrow(),
        text -> text.chars().toArray(),
        List.of((int) ';'));
  }

  private static ImmutableIntArray tokens(String text) {
    return ImmutableIntArray.copyOf(text.chars());
  }

  @Test
  void hasWhatStandsAroundTheTurns() throws IOException {
    assertThat(turns(TURNS))
        .contains(
            new ChatTurns(tokens("Be brief.<user>"), tokens(";<assistant>"), tokens(";<user>")));
  }

  @Test
  void turnsThatEndLikeAnythingElseAreNotTold() throws IOException {
    assertThat(turns(TURNS.replace(';', ' '))).isEmpty();
    assertThat(turns("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")).isEmpty();
  }

  @Test
  void aTemplateThatChangesWhatIsSaidOrBeginsWithItHasNone() throws IOException {
    assertThat(turns(TURNS.replace("m.content", "m.content | upper"))).isEmpty();
    assertThat(turns("{% for m in messages %}{{ m.content }};{% endfor %}")).isEmpty();
  }
}
