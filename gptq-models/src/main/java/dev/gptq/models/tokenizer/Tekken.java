package dev.gptq.models.tokenizer;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.tokenizer.TokenizerParts.Token;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The {@code tokenizer.json} that Mistral's {@code tekken.json} stands for: byte-level pairs, which
 * are merged in the order of the ranks of what they become, behind special tokens.
 */
final class Tekken {
  /** The tokens before all others, where the file does not name them. */
  private static final String[] SPECIAL = {
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]"
  };

  static final Token BEGIN = new Token(1, "<s>");
  static final Token END = new Token(2, "</s>");

  private final JsonConfig file;
  private final JsonConfig config;
  private final int special;
  private final int size;

  private Tekken(JsonConfig file) {
    this.file = file;
    this.config = file.section("config").orElseThrow(() -> damaged("'config' is missing"));
    this.special = config.intBetween("default_num_special_tokens", 3, 1 << 20);
    this.size = config.intBetween("default_vocab_size", special + 256, 1 << 24);
  }

  /** Throws {@link BadInputException} if the file is damaged. */
  static ObjectNode read(Path file) throws IOException {
    return new Tekken(JsonConfig.read(file)).build();
  }

  private ObjectNode build() {
    ObjectNode root = JsonMapper.shared().createObjectNode().put("version", "1.0");
    root.putNull("truncation").putNull("padding");
    String[] named = specialTokens();
    ArrayNode added = root.putArray("added_tokens");
    for (int id = 0; id < special; id++) {
      TokenizerParts.add(added, new Token(id, named[id]), true);
    }
    root.putNull("normalizer");
    ObjectNode before = root.putObject("pre_tokenizer").put("type", "Sequence");
    ArrayNode steps = before.putArray("pretokenizers");
    ObjectNode split = steps.addObject().put("type", "Split");
    split.putObject("pattern").put("Regex", config.stringValue("pattern"));
    split.put("behavior", "Isolated").put("invert", false);
    bytes(steps.addObject().put("type", "ByteLevel"), false);
    TokenizerParts.around(root, Optional.of(BEGIN), Optional.empty());
    bytes(root.putObject("decoder").put("type", "ByteLevel"), true);
    ObjectNode bpe = root.putObject("model").put("type", "BPE").putNull("dropout");
    bpe.putNull("unk_token").putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
    bpe.put("fuse_unk", false).put("byte_fallback", false).put("ignore_merges", true);
    vocabulary(bpe, named);
    return root;
  }

  private static void bytes(ObjectNode step, boolean expression) {
    step.put("add_prefix_space", false).put("trim_offsets", true).put("use_regex", expression);
  }

  private String[] specialTokens() {
    String[] texts = new String[special];
    JsonNode named = file.json().path("special_tokens");
    if (named.isArray()) {
      for (JsonNode token : named) {
        texts[rank(token, special)] = token.path("token_str").asString("");
      }
    } else {
      System.arraycopy(SPECIAL, 0, texts, 0, Math.min(special, SPECIAL.length));
    }
    for (int id = 0; id < special; id++) {
      texts[id] = texts[id] == null ? "<SPECIAL_" + id + ">" : texts[id];
    }
    return texts;
  }

  /** Tokens that are not in the vocabulary would get other ids than those they ask for. */
  private void vocabulary(ObjectNode bpe, String[] named) {
    int count = size - special;
    String[] tokens = new String[count];
    Map<String, Integer> ids = new HashMap<>();
    for (JsonNode token : file.json().path("vocab")) {
      int rank = rank(token, Integer.MAX_VALUE);
      if (rank < count) {
        tokens[rank] = text(token);
        ids.put(tokens[rank], rank + special);
      }
    }
    if (ids.size() != count) {
      throw damaged("it has %d tokens and should have %d".formatted(ids.size(), count));
    }
    ObjectNode vocabulary = bpe.putObject("vocab");
    for (int id = 0; id < special; id++) {
      vocabulary.put(named[id], id);
    }
    for (int rank = 0; rank < count; rank++) {
      vocabulary.put(tokens[rank], rank + special);
    }
    TokenizerParts.merge(TokenizerParts.into(bpe.putArray("merges")), ids, id -> -id);
  }

  private int rank(JsonNode token, int end) {
    JsonNode rank = token.path("rank");
    if (!rank.isInt() || rank.intValue() < 0 || rank.intValue() >= end) {
      throw damaged("the rank %s is none".formatted(rank));
    }
    return rank.intValue();
  }

  private String text(JsonNode token) {
    try {
      return ByteText.of(Base64.getDecoder().decode(token.path("token_bytes").asString("")));
    } catch (IllegalArgumentException e) {
      throw new BadInputException(damaged("%s is no token".formatted(token)).getMessage(), e);
    }
  }

  private BadInputException damaged(String what) {
    return new BadInputException("%s: %s; download it again".formatted(file.file(), what));
  }
}
