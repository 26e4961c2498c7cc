package dev.gptq.models.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Each of the refused ones ends the process where the native library sees it. */
final class NativePitfallsTest {
  private static final String MODEL =
      "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"#b\":2,\"ab\":3},\"merges\":[]}";

  @TempDir private Path folder;

  private Tokenizer open(String parts) throws IOException {
    Files.writeString(folder.resolve(Vocabulary.FILE), "{\"version\":\"1.0\"," + parts + "}");
    return Tokenizer.open(folder);
  }

  private void assertRefused(String parts) {
    assertThatThrownBy(() -> open(parts).close())
        .isInstanceOf(BadInputException.class)
        .hasMessageContainingAll(folder.toString(), "download it again");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{\"type\":\"Fuse\",\"x\":\"\\ud800\"}",
        "{\"type\":\"Fuse\",\"x\\udc00\":1}",
        "{\"type\":\"Fuse\",\"x\":1e999}",
        "{\"type\":\"Fuse\",\"x\":[-1e400]}",
        "{\"type\":\"Strip\",\"content\":\"a\",\"start\":0,\"stop\":3}",
        "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Strip\",\"content\":\"a\",\"start\":0,\"stop\":1}]}"
      })
  void decoders(String decoder) {
    assertRefused(MODEL + ",\"decoder\":" + decoder);
  }

  @Test
  void nestedDecoders() {
    assertRefused(MODEL + ",\"decoder\":" + "[".repeat(130) + "]".repeat(130));
  }

  @Test
  void templates() {
    String head = MODEL + ",\"post_processor\":";
    String missing =
        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}}],"
            + "\"pair\":[],\"special_tokens\":{}}";
    assertRefused(head + missing);
    assertRefused(head + "{\"type\":\"Sequence\",\"processors\":[" + missing + "]}");
    assertRefused(
        head
            + "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],"
            + "\"pair\":[],\"special_tokens\":{}}");
  }

  @Test
  void mergesWithoutTheirPrefix() {
    for (String merge : new String[] {"\"a b\"", "[\"a\",\"b\"]", "\"a\"", "7"}) {
      assertRefused(
          MODEL
              .replace("\"vocab\"", "\"continuing_subword_prefix\":\"#\",\"vocab\"")
              .replace("[]", "[" + merge + "]"));
    }
    assertRefused(MODEL.replace("[]", "[\"a b\"],\"continuing_subword_prefix\":\"#\""));
  }

  @Test
  void whatIsRightIsRead() throws IOException {
    String right =
        MODEL
                .replace("\"vocab\"", "\"continuing_subword_prefix\":\"#\",\"vocab\"")
                .replace("[]", "[\"a #b\"]")
            + ",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
            + "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
            + "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
            + "{\"SpecialToken\":{\"id\":\"a\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
            + "\"pair\":[],\"special_tokens\":{\"a\":{\"id\":\"a\",\"ids\":[0],\"tokens\":[\"a\"]}}}";
    try (Tokenizer tokenizer = open(right)) {
      assertThat(tokenizer.encodeWithSpecialTokens("ab")).containsExactly(0, 3);
    }
  }
}
