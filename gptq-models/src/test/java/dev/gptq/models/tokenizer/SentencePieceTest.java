package dev.gptq.models.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** A tokenizer as Llama 2, Mistral and Gemma have: SentencePiece's BPE, bytes for the rest. */
class SentencePieceTest {
  private static final int BYTES = 3;
  private static final int SPACE = BYTES + 256;
  private static final int TURN = SPACE + 6;

  @TempDir Path folder;

  /**
   * Ids: unknown, begin, end, 256 bytes, then "▁", "a", "b", "▁a", "ab", "▁ab"; then an added one.
   */
  @BeforeEach
  void write() throws IOException {
    ObjectNode json = JsonMapper.shared().createObjectNode().put("version", "1.0");
    ArrayNode added = json.putArray("added_tokens");
    add(added, 0, "<unk>");
    add(added, 1, "<s>");
    add(added, 2, "</s>");
    add(added, TURN, "<|turn|>");
    json.set(
        "normalizer",
        JsonMapper.shared()
            .readTree(
                """
                {"type": "Sequence", "normalizers": [
                  {"type": "Prepend", "prepend": "▁"},
                  {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
                """));
    json.set(
        "post_processor",
        JsonMapper.shared()
            .readTree(
                """
                {"type": "TemplateProcessing",
                 "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                            {"Sequence": {"id": "A", "type_id": 0}}],
                 "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                          {"Sequence": {"id": "B", "type_id": 1}}],
                 "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
                """));
    json.set(
        "decoder",
        JsonMapper.shared()
            .readTree(
                """
                {"type": "Sequence", "decoders": [
                  {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                  {"type": "ByteFallback"}, {"type": "Fuse"},
                  {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
                """));
    ObjectNode model = json.putObject("model").put("type", "BPE").put("unk_token", "<unk>");
    model.put("fuse_unk", true).put("byte_fallback", true);
    ObjectNode vocabulary = model.putObject("vocab").put("<unk>", 0).put("<s>", 1).put("</s>", 2);
    for (int b = 0; b < 256; b++) {
      vocabulary.put("<0x%02X>".formatted(b), BYTES + b);
    }
    String[] pieces = {"▁", "a", "b", "▁a", "ab", "▁ab"};
    for (int i = 0; i < pieces.length; i++) {
      vocabulary.put(pieces[i], SPACE + i);
    }
    model.putArray("merges").add("a b").add("▁ ab").add("▁ a");
    Files.writeString(folder.resolve("tokenizer.json"), json.toString());
  }

  private static void add(ArrayNode list, int id, String content) {
    list.addObject()
        .put("id", id)
        .put("content", content)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", true);
  }

  @Test
  void mergesWordsAndFallsBackToBytes() throws IOException {
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      assertThat(tokenizer.encode("ab a")).containsExactly(SPACE + 5, SPACE + 3);
      // U+00E9 has no piece; its UTF-8 bytes do.
      assertThat(tokenizer.encode("aé")).containsExactly(SPACE + 3, BYTES + 0xC3, BYTES + 0xA9);
      assertThat(tokenizer.decode(tokenizer.encode("ab aé"))).isEqualTo("ab aé");
    }
  }

  @Test
  void beginsTextsOnlyWhereAsked() throws IOException {
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      assertThat(tokenizer.encodeWithSpecialTokens("ab")).containsExactly(1, SPACE + 5);
      assertThat(tokenizer.encode("ab")).containsExactly(SPACE + 5);
    }
  }

  @Test
  void addedTokensAreFoundInTextsAndCounted() throws IOException {
    try (Tokenizer tokenizer = Tokenizer.open(folder)) {
      assertThat(tokenizer.encode("ab<|turn|>")).containsExactly(SPACE + 5, TURN);
      assertThat(tokenizer.vocabularySize()).isEqualTo(TURN + 1);
      assertThat(tokenizer.decode(new int[] {SPACE + 5, TURN})).isEqualTo("ab");
    }
  }
}
