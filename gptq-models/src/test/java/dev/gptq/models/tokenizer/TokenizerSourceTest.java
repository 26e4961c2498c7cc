package dev.gptq.models.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.primitives.Ints;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Small tokenizers without a {@code tokenizer.json}, and the ids that sentencepiece 0.2.3 and
 * mistral-common 1.13.1 have for texts in many scripts.
 */
class TokenizerSourceTest {
  private static final Path FOLDER =
      SharedFiles.bundled("gptq-models/src/test/resources/tokenizers");

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"bpe", "bpe-user", "uni", "uni-rules", "tekken"})
  void idsAreThoseOfTheOriginal(String name) throws IOException {
    JsonNode expected =
        JsonMapper.shared()
            .readTree(Files.readAllBytes(FOLDER.resolve(name).resolve("expected.json")));
    try (Tokenizer tokenizer = Tokenizer.open(FOLDER.resolve(name))) {
      assertThat(expected.size()).isEqualTo(31);
      for (JsonNode text : expected) {
        assertThat(tokenizer.encode(text.path("text").stringValue()))
            .as(text.toString())
            .containsExactly(
                StreamSupport.stream(text.path("ids").spliterator(), false)
                    .mapToInt(JsonNode::intValue)
                    .toArray());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bpe", "bpe-user", "uni", "tekken"})
  void nothingIsLostOnTheWayBack(String name) throws IOException {
    String text = "  He said 3.14 it's\t日本語 🙂\n\n";
    try (Tokenizer tokenizer = Tokenizer.open(FOLDER.resolve(name))) {
      assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
      assertThat(tokenizer.before()).containsExactly(1);
      assertThat(tokenizer.behind()).isEmpty();
      assertThat(tokenizer.specialTokens().bos()).hasValue("<s>");
      assertThat(tokenizer.specialTokens().eos()).hasValue("</s>");
    }
  }

  @Test
  void theFilesBesideItAreHeard() throws IOException {
    Files.copy(FOLDER.resolve("bpe/tokenizer.model"), folder.resolve("tokenizer.model"));
    Files.writeString(folder.resolve("added_tokens.json"), "{\"<one>\": 450}");
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        """
        {"add_bos_token": false, "add_eos_token": true, "legacy": false, "eos_token": "<two>",
         "added_tokens_decoder": {"421": {"content": "<two>", "lstrip": false, "rstrip": false,
            "normalized": false, "single_word": false, "special": true}}}
        """);
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      int[] once = tokenizer.encode("a");
      assertThat(tokenizer.encode("<one>")).containsExactly(450);
      assertThat(tokenizer.encode("a<two> a"))
          .containsExactly(Ints.concat(once, new int[] {421}, once));
      assertThat(tokenizer.vocabularySize()).isEqualTo(451);
      assertThat(tokenizer.before()).isEmpty();
      assertThat(tokenizer.behind()).containsExactly(2);
      assertThat(tokenizer.specialTokens().eos()).hasValue("<two>");
    }
  }

  @Test
  void tekkenIsFoundBeforeAnOlderModel() throws IOException {
    Files.copy(FOLDER.resolve("bpe/tokenizer.model"), folder.resolve("tokenizer.model"));
    Files.copy(FOLDER.resolve("tekken/tekken.json"), folder.resolve("tekken.json"));
    assertThat(TokenizerSource.find(folder).orElseThrow().file().getFileName())
        .hasToString("tekken.json");
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      assertThat(tokenizer.encode("[INST]<SPECIAL_20>")).containsExactly(3, 20);
    }
  }

  /** Cut anywhere and with any bit changed it is read, or refused with a sentence. */
  @Test
  void damagedModelsAreRefused() throws IOException {
    byte[] whole = Files.readAllBytes(FOLDER.resolve("uni-rules/tokenizer.model"));
    Path file = folder.resolve("tokenizer.model");
    for (int i = 0; i < 200; i++) {
      byte[] changed = Arrays.copyOf(whole, i % 2 == 0 ? whole.length : whole.length * i / 200);
      if (i % 2 == 0) {
        changed[(int) (i * 7919L % whole.length)] ^= (byte) (1 << (i / 2 % 8));
      }
      Files.write(file, changed);
      try {
        Vocabulary.read(TokenizerSource.find(folder).orElseThrow());
      } catch (BadInputException e) {
        assertThat(e).hasMessageContaining("tokenizer.model");
      }
    }
  }

  @Test
  void otherVocabulariesAreRefusedByName() throws IOException {
    Files.writeString(folder.resolve("tokenizer.model"), "IQ== 0\nIg== 1\n");
    assertThatThrownBy(
            () -> {
              try (Tokenizer tokenizer = Tokenizer.open(folder)) {
                tokenizer.encode("a");
              }
            })
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("a vocabulary of tiktoken cannot be read");
    Files.writeString(
        folder.resolve("tekken.json"),
        "{\"config\": {\"default_vocab_size\": 300, \"default_num_special_tokens\": 20}}");
    assertThatThrownBy(
            () -> {
              try (Tokenizer tokenizer = Tokenizer.open(folder)) {
                tokenizer.encode("a");
              }
            })
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("tekken.json");
  }
}
