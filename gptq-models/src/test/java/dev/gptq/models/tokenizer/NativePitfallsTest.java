package dev.gptq.models.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.List;
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

  /** A trie in which A leads to a replacement; units are changed by place and value. */
  private static String charsmap(int size, int length, String replacements, int... changes) {
    byte[] texts = replacements.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(4 + 4 * length + texts.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putInt(size);
    int[] units = new int[Math.max(length, 768)];
    units[0] = 256 << 10;
    units[256 ^ 'A'] = (256 ^ 'A' ^ 512) << 10 | 1 << 8 | 'A';
    units[512] = Integer.MIN_VALUE;
    for (int i = 0; i < changes.length; i += 2) {
      units[changes[i]] = changes[i + 1];
    }
    for (int i = 0; i < length; i++) {
      bytes.putInt(units[i]);
    }
    return Base64.getEncoder().encodeToString(bytes.put(texts).array());
  }

  private static String normalizer(String charsmap) {
    return MODEL
        + ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\","
        + "\"precompiled_charsmap\":\""
        + charsmap
        + "\"}]}";
  }

  @Test
  void charactersMapsAreRead() throws IOException {
    try (Tokenizer tokenizer = open(normalizer(charsmap(4 * 768, 768, "b\0")))) {
      assertThat(tokenizer.encodeWithSpecialTokens("A")).containsExactly(1);
    }
  }

  @Test
  void charactersMapsThatLeadNowhere() {
    int valid = 4 * 768;
    for (String damaged :
        List.of(
            "!",
            "AAA=",
            charsmap(0, 0, "b"),
            charsmap(valid + 4, 768, ""),
            charsmap(-1, 768, "b"),
            // The root, and what follows A, outside.
            charsmap(valid, 768, "b", 0, 768 << 10),
            charsmap(valid, 768, "b", 0, 1 << 30 | 1 << 9),
            charsmap(valid, 768, "b", 256 ^ 'A', 1 << 30 | 'A'),
            charsmap(valid, 768, "b", 256 ^ 'A', 1 << 30 | 1 << 8 | 'A'),
            charsmap(4 * 700, 700, "b"),
            // Replacements outside, and inside a character.
            charsmap(valid, 768, "b", 512, Integer.MIN_VALUE | 2),
            charsmap(valid, 768, "é", 512, Integer.MIN_VALUE | 1))) {
      assertRefused(normalizer(damaged));
    }
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
