package dev.gptq.models.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class ProtocolTest {
  @TempDir Path folder;

  @Test
  void wikiTextKeepsLineEndsAndBlankRows() {
    assertThat(Protocol.WIKITEXT2.text(List.of(" \n = Title = \n \n Words . \n")))
        .isEqualTo("\n\n = Title = \n\n\n\n\n Words . \n");
  }

  @Test
  void sentencesOfTheTreebankAreJoinedInTwoWays() {
    List<String> file = List.of(" no it was n't \n but <unk> \n");
    assertThat(Protocol.PTB.text(file)).isEqualTo("no it was n't\n\nbut <unk>");
    assertThat(Protocol.PTB_NEW.text(file)).isEqualTo("no it was n't but <unk>");
  }

  @Test
  void theFirstDocumentsOfC4Count() {
    List<String> documents = IntStream.range(0, 1200).mapToObj(i -> "a\nb" + i).toList();
    assertThat(Protocol.C4_NEW.text(documents))
        .isEqualTo(documents.stream().limit(1100).collect(Collectors.joining(" ")));
  }

  @Test
  void windowsBeginWithWhatTheTokenizerPutsBeforeATextAndAreLimited() throws IOException {
    Path text = folder.resolve("c4.txt");
    Files.writeString(text, "one two three four five six seven eight ".repeat(200));
    try (Tokenizer plain = Tokenizer.open(SharedFiles.bundled("examples/tiny"));
        Tokenizer beginning = Tokenizer.open(withBeginning(3))) {
      List<int[]> without = Protocol.C4_NEW.windows(text, plain, 4, documents());
      List<int[]> with = Protocol.C4_NEW.windows(text, beginning, 4, documents());
      assertThat(without).hasSize(256).allMatch(window -> window.length == 4);
      assertThat(with.getFirst()[0]).isEqualTo(3);
      assertThat(Arrays.copyOfRange(with.getFirst(), 1, 4))
          .isEqualTo(Arrays.copyOf(without.getFirst(), 3));
      assertThat(with.get(1)[0]).isEqualTo(without.getFirst()[3]);
    }
  }

  /** The bundled tokenizer with a rule that puts a token before every text. */
  private Path withBeginning(int id) throws IOException {
    Path from = SharedFiles.bundled("examples/tiny").resolve("tokenizer.json");
    ObjectNode json = (ObjectNode) JsonMapper.shared().readTree(Files.readAllBytes(from));
    json.set(
        "post_processor",
        JsonMapper.shared()
            .readTree(
                """
                {"type": "TemplateProcessing",
                 "single": [{"SpecialToken": {"id": "B", "type_id": 0}},
                            {"Sequence": {"id": "A", "type_id": 0}}],
                 "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                          {"Sequence": {"id": "B", "type_id": 1}}],
                 "special_tokens": {"B": {"id": "B", "ids": [%d], "tokens": ["B"]}}}
                """
                    .formatted(id)));
    Path other = Files.createDirectory(folder.resolve("tokenizer"));
    Files.writeString(other.resolve("tokenizer.json"), json.toString());
    return other;
  }

  @Test
  void unknownProtocolListsTheKnownOnes() {
    assertThat(Protocol.of("ptb-new")).isEqualTo(Protocol.PTB_NEW);
    assertThatThrownBy(() -> Protocol.of("lambada"))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'lambada'")
        .hasMessageContaining("wikitext2, ptb, ptb-new, c4-new");
  }

  private static Documents documents() {
    return new Documents(TextRules.USUALLY, Conversations.plain(), _ -> {});
  }
}
