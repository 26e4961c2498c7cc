package dev.gptq.models.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.io.Resources;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class TokenizerTest {
  private static JsonNode known() throws IOException {
    return JsonMapper.shared()
        .readTree(
            Resources.toByteArray(
                Resources.getResource(TokenizerTest.class, "tiny-encodings.json")));
  }

  private static Tokenizer tiny() throws IOException {
    return Tokenizer.open(SharedFiles.bundled("examples/tiny"));
  }

  private static int[] ints(JsonNode list) {
    return list.valueStream().mapToInt(JsonNode::intValue).toArray();
  }

  @Test
  void encodesAsTheReferenceDoes() throws IOException {
    try (Tokenizer tokenizer = tiny()) {
      assertThat(tokenizer.vocabularySize()).isEqualTo(4096);
      for (JsonNode encoding : known().get("encodings")) {
        String text = encoding.get("text").stringValue();
        int[] ids = tokenizer.encode(text);
        assertThat(ids).as(text).isEqualTo(ints(encoding.get("ids")));
        assertThat(tokenizer.decode(ids)).isEqualTo(text);
      }
    }
  }

  @Test
  void encodesAWholeBookAsOneString() throws IOException {
    assertEncodes(SharedFiles.bundled("examples/text/demo-evaluation.txt"));
  }

  @Test
  void encodesAMegabyteAsOneString() throws IOException {
    assertEncodes(SharedFiles.require("text/wiki.test.raw"));
  }

  private static void assertEncodes(Path file) throws IOException {
    JsonNode expected = known().get("files").get(file.getFileName().toString());
    String text = Files.readString(file);
    try (Tokenizer tokenizer = tiny()) {
      int[] ids = tokenizer.encode(text);
      assertThat(ids).hasSize(expected.get("tokens").intValue());
      assertThat(ids).startsWith(ints(expected.get("first_ids")));
      assertThat(tokenizer.decode(ids)).isEqualTo(text);
    }
  }

  @Test
  void whatStandsAroundEveryTextIsKnown(@TempDir Path folder) throws IOException {
    int id = FramedTokenizer.write(folder, true, true);
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      int[] plain = tokenizer.encode("Once upon a time");
      assertThat(plain).doesNotContain(id);
      assertThat(tokenizer.encodeWithSpecialTokens("Once upon a time"))
          .hasSize(plain.length + 2)
          .startsWith(id)
          .endsWith(id);
      assertThat(tokenizer.before()).containsExactly(id);
      assertThat(tokenizer.behind()).containsExactly(id);
    }
    try (Tokenizer tokenizer = tiny()) {
      assertThat(tokenizer.before()).isEmpty();
      assertThat(tokenizer.behind()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "plain words, one after the other.",
        " leading and trailing ",
        "é, ß, 漢字 and 😀👩‍👩‍👧 across tokens",
        "tabs\tand\n\nlines\r\n",
        "\u0000 nul"
      })
  void decodesWhatItEncodedAtOnceAndOneByOne(String text) throws IOException {
    try (Tokenizer tokenizer = tiny()) {
      int[] ids = tokenizer.encode(text);
      assertThat(tokenizer.decode(ids)).isEqualTo(text);
      StreamingDecoder decoder = tokenizer.streaming();
      StringBuilder streamed = new StringBuilder();
      Arrays.stream(ids).mapToObj(decoder::add).forEach(streamed::append);
      assertThat(streamed.append(decoder.finish())).hasToString(text);
    }
  }

  @Test
  void streamingHoldsBackHalfACharacter() throws IOException {
    try (Tokenizer tokenizer = tiny()) {
      int[] ids = tokenizer.encode("漢");
      assertThat(ids).hasSizeGreaterThan(1);
      StreamingDecoder decoder = tokenizer.streaming();
      for (int i = 0; i + 1 < ids.length; i++) {
        assertThat(decoder.add(ids[i])).isEmpty();
      }
      assertThat(decoder.add(ids[ids.length - 1])).isEqualTo("漢");
      assertThat(decoder.add(ids[0])).isEmpty();
      assertThat(decoder.finish()).isEqualTo("\ufffd");
    }
  }

  @Test
  void missingAndBrokenFilesAreReported(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("tokenizer.json");
    assertThatThrownBy(() -> Tokenizer.open(folder))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(file + " is missing; copy it");
    for (String broken :
        new String[] {"", "{", "{}", "[]", "{\"model\": {\"vocab\": {\"a\": 0}}}"}) {
      Files.writeString(file, broken);
      assertThatThrownBy(() -> Tokenizer.open(folder))
          .as(broken)
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining(file.toString());
    }
  }

  /** The native library ends the process where the damage is inside the decoder. */
  @Test
  void aFileThatIsCutAnywhereIsReported(@TempDir Path folder) throws IOException {
    String whole = Files.readString(SharedFiles.bundled("examples/tiny/tokenizer.json"));
    int decoder = whole.indexOf("\"decoder\"");
    for (int cut : new int[] {decoder, decoder + 20, decoder + 60, whole.length() - 2}) {
      Files.writeString(folder.resolve("tokenizer.json"), whole.substring(0, cut));
      assertThatThrownBy(() -> Tokenizer.open(folder))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining(folder + "/tokenizer.json is not valid");
    }
  }

  @Test
  void aTokenThatTheModelHasNoRowForIsNamed(@TempDir Path folder) throws IOException {
    ObjectNode json =
        (ObjectNode)
            JsonMapper.shared()
                .readTree(Files.readAllBytes(SharedFiles.bundled("examples/tiny/tokenizer.json")));
    json.withArray("added_tokens")
        .add(
            JsonMapper.shared()
                .readTree(
                    """
                    {"id": 4096, "content": "captain", "single_word": false, "lstrip": false,
                     "rstrip": false, "normalized": false, "special": false}
                    """));
    Files.write(folder.resolve("tokenizer.json"), JsonMapper.shared().writeValueAsBytes(json));
    try (Tokenizer tokenizer = Tokenizer.open(folder, 4096)) {
      assertThat(tokenizer.vocabulary().mostId()).isEqualTo(4096);
      assertThat(tokenizer.vocabulary().mostToken()).isEqualTo("captain");
      assertThat(tokenizer.encode("The ship")).isNotEmpty();
      assertThatThrownBy(() -> tokenizer.encode("The captain"))
          .isInstanceOf(BadInputException.class)
          .hasMessageContainingAll("'captain'", "id 4096", "4096 rows", "4097 ids");
    }
    try (Tokenizer tokenizer = Tokenizer.open(folder, 4097)) {
      assertThat(tokenizer.encode("captain")).containsExactly(4096);
    }
  }
}
