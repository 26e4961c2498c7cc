package dev.gptq.models.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.primitives.Ints;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.tokenizer.FramedTokenizer;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What stands before windows, between documents, and around the turns of a conversation. */
final class TokenStreamTest {
  private static final String CONFIG = "tokenizer_config.json";
  private static final String TOKENS =
      "{\"bos_token\": {\"content\": \"<|endoftext|>\"}, \"eos_token\": \"<|endoftext|>\"}";

  @TempDir private Path folder;
  private final List<String> notes = new ArrayList<>();

  @Test
  void windowsBeginAsTheTokenizerDoes() throws IOException {
    int bos = FramedTokenizer.write(folder, true, false);
    Path text = Files.writeString(folder.resolve("a.txt"), "Once upon a time there was a ship.");
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      int[] plain = tokenizer.encode("Once upon a time there was a ship.");
      TokenStream stream = stream(tokenizer, Bos.AUTO, text);
      assertThat(stream.size()).isEqualTo(plain.length);
      assertThat(stream.beginning()).contains("<|endoftext|>");
      List<int[]> windows = stream.consecutive(4, OptionalInt.of(2));
      assertThat(windows.get(0)).containsExactly(bos, plain[0], plain[1], plain[2]);
      assertThat(windows.get(1)).containsExactly(bos, plain[3], plain[4], plain[5]);
      assertThat(stream.random(3, 4, 1, false))
          .allSatisfy(w -> assertThat(w).hasSize(4).startsWith(bos));
      assertThat(stream.even(3, 4, false))
          .allSatisfy(w -> assertThat(w).hasSize(4).startsWith(bos));
      assertThatThrownBy(() -> stream.even(1, 1, false))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("no room behind '<|endoftext|>'");
      assertThat(stream(tokenizer, Bos.OFF, text).beginning()).isEmpty();
      assertThat(stream(tokenizer, Bos.OFF, text).consecutive(4, OptionalInt.of(1)).getFirst())
          .containsExactly(plain[0], plain[1], plain[2], plain[3]);
    }
  }

  @Test
  void aTokenThatTheTokenizerDoesNotWriteIsNamedByItsConfiguration() throws IOException {
    int bos = FramedTokenizer.write(folder, false, false);
    Path text = Files.writeString(folder.resolve("a.txt"), "Once upon a time");
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      assertThat(stream(tokenizer, Bos.AUTO, text).beginning()).isEmpty();
      assertThatThrownBy(() -> stream(tokenizer, Bos.ON, text))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("names no bos_token");
      Files.writeString(folder.resolve(CONFIG), TOKENS);
      assertThat(stream(tokenizer, Bos.ON, text).consecutive(3, OptionalInt.of(1)).getFirst())
          .startsWith(bos);
    }
  }

  @Test
  void documentsAreSeparatedAsTheModelWasTrained() throws IOException {
    Path texts =
        Files.writeString(
            folder.resolve("a.jsonl"),
            "{\"text\": \"Once\"}\n{\"text\": \"\"}\n{\"text\": \"upon\"}\n");
    int special = FramedTokenizer.write(folder, false, false);
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      int[] once = tokenizer.encode("Once");
      int[] upon = tokenizer.encode("upon");
      assertThat(tokens(tokenizer, texts)).isEqualTo(Ints.concat(once, upon));
      Files.writeString(folder.resolve(CONFIG), TOKENS);
      assertThat(tokens(tokenizer, texts)).isEqualTo(Ints.concat(once, new int[] {special}, upon));
    }
    FramedTokenizer.write(folder, true, true);
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      int[] once = tokenizer.encode("Once");
      int[] upon = tokenizer.encode("upon");
      assertThat(tokens(tokenizer, texts))
          .isEqualTo(Ints.concat(once, new int[] {special, special}, upon));
    }
  }

  @Test
  void windowsStayWithinDocumentsThatAreLongEnough() throws IOException {
    FramedTokenizer.write(folder, false, false);
    Path texts =
        Files.writeString(
            folder.resolve("a.jsonl"),
            """
            {"text": "Once upon a time there was a ship"}
            {"text": "Once"}
            {"text": "upon a sea of many colours"}
            """);
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      int[] first = tokenizer.encode("Once upon a time there was a ship");
      int[] second = tokenizer.encode("Once");
      int[] third = tokenizer.encode("upon a sea of many colours");
      int[] all = Ints.concat(first, second, third);
      TokenStream stream = stream(tokenizer, Bos.AUTO, texts);
      int straddling = 0;
      for (int[] window : stream.random(200, 4, 3, false)) {
        boolean within = Ints.indexOf(first, window) >= 0 || Ints.indexOf(third, window) >= 0;
        // The second is too short: whole documents follow from its beginning on.
        boolean begins =
            Arrays.equals(window, Ints.concat(second, Arrays.copyOf(third, 4 - second.length)));
        assertThat(within || begins).as(Arrays.toString(window)).isTrue();
      }
      for (int[] window : stream.random(200, 4, 3, true)) {
        assertThat(Ints.indexOf(all, window)).isNotNegative();
        boolean within = Ints.indexOf(first, window) >= 0 || Ints.indexOf(third, window) >= 0;
        straddling += within ? 0 : 1;
      }
      assertThat(straddling).isPositive();
      assertThat(stream.even(1, all.length, false)).containsExactly(all);
    }
  }

  @Test
  void conversationsComeAsTheirTemplateWritesThem() throws IOException {
    int bos = FramedTokenizer.write(folder, true, false);
    String turns = "{\"messages\": [{\"role\": \"user\", \"content\": \"Once\"}]}\n";
    Path chats = Files.writeString(folder.resolve("a.jsonl"), turns + turns);
    Files.writeString(folder.resolve(CONFIG), TOKENS);
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      int[] plain = tokenizer.encode("Once\n");
      assertThat(tokens(tokenizer, chats)).isEqualTo(Ints.concat(plain, new int[] {bos}, plain));
      assertThat(notes).hasSize(1).first().asString().contains("no chat template");
      Files.writeString(
          folder.resolve("chat_template.jinja"),
          "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
      int[] written = tokenizer.encode("<|endoftext|><user>Once");
      assertThat(written).startsWith(bos);
      // The template has written the BOS token: it does not come twice.
      assertThat(tokens(tokenizer, chats)).isEqualTo(Ints.concat(written, written));
      assertThat(Bos.AUTO.prompt("<|endoftext|><user>Once", tokenizer)).isEqualTo(written);
      assertThat(Bos.AUTO.prompt("Once", tokenizer))
          .isEqualTo(Ints.concat(new int[] {bos}, tokenizer.encode("Once")));
    }
  }

  private TokenStream stream(Tokenizer tokenizer, Bos bos, Path file) throws IOException {
    TextRules rules = TextRules.USUALLY.withBos(bos);
    Documents documents = new Documents(rules, Conversations.of(folder, notes::add), notes::add);
    return TokenStream.of(tokenizer, List.of(file), rules, documents);
  }

  private int[] tokens(Tokenizer tokenizer, Path file) throws IOException {
    TokenStream stream = stream(tokenizer, Bos.OFF, file);
    return stream.consecutive(stream.size(), OptionalInt.empty()).getFirst();
  }
}
