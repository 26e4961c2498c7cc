package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.Model;
import dev.gptq.models.chat.ChatTemplate;
import dev.gptq.models.gguf.Splits;
import dev.gptq.models.tokenizer.SpecialTokens;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.models.tokenizer.TokenizerSource;
import dev.gptq.models.tokenizer.Vocabulary;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** What a GGUF file says of a tokenizer. */
final class GgufTokenizer {
  private static final int NORMAL = 1;
  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;
  private static final int UNUSED = 5;

  private static final String PREFIX = "tokenizer.ggml.";

  private final Model model;
  private final JsonConfig json;
  private final JsonNode bpe;

  private GgufTokenizer(Model model, JsonConfig json) {
    this.model = model;
    this.json = json;
    this.bpe = json.json().path("model");
  }

  /** Adds its entries; throws if llama.cpp has no such tokenizer. */
  static void describe(Model model, GgufMetadata metadata) throws IOException {
    TokenizerSource source =
        TokenizerSource.find(model.folder())
            .orElseThrow(() ->
                new BadInputException(
                    model.folder().resolve(Vocabulary.FILE)
                        + " is missing, and a GGUF file needs a tokenizer; copy it from the original"
                        + " model"));
    new GgufTokenizer(model, source.json()).describe(metadata);
  }

  private void describe(GgufMetadata metadata) throws IOException {
    if (!bpe.path("type").asString("BPE").equals("BPE")) {
      throw refused("only byte-level BPE and SentencePiece's can be written");
    }
    boolean pieces = bpe.path("byte_fallback").asBoolean(false);
    metadata.put(PREFIX + "model", pieces ? "llama" : "gpt2");
    metadata.put(PREFIX + "pre", pieces ? "default" : splitting());
    List<String> tokens = new ArrayList<>();
    List<Integer> types = new ArrayList<>();
    for (int id = 0; id < model.spec().vocabulary(); id++) {
      tokens.add("[PAD" + id + "]");
      types.add(UNUSED);
    }
    for (Map.Entry<String, JsonNode> token : bpe.path("vocab").properties()) {
      set(tokens, types, token.getValue().intValue(), token.getKey(), NORMAL);
    }
    for (JsonNode token : json.json().path("added_tokens")) {
      int type = token.path("special").asBoolean(false) ? CONTROL : USER_DEFINED;
      set(tokens, types, token.path("id").intValue(), token.path("content").stringValue(), type);
    }
    metadata.putTexts(PREFIX + "tokens", tokens);
    if (pieces) {
      Pieces.of(json).describe(metadata, tokens, types);
    } else {
      metadata.putTexts(PREFIX + "merges", merges());
    }
    metadata.putInts(PREFIX + "token_type", types);
    describeEnds(metadata, tokens);
    Optional<String> template = ChatTemplate.text(model.folder());
    if (template.isPresent()) {
      metadata.put("tokenizer.chat_template", template.get());
    }
  }

  private void set(List<String> tokens, List<Integer> types, int id, String text, int type) {
    if (id >= tokens.size()) {
      throw refused(
          "token '%s' has id %d, but the model has %d rows".formatted(text, id, tokens.size()));
    }
    tokens.set(id, text);
    types.set(id, type);
  }

  /** Each merge as its two parts with a space between; one in a part is written as U+0120. */
  private ImmutableList<String> merges() {
    ImmutableList.Builder<String> merges = ImmutableList.builder();
    for (JsonNode merge : bpe.path("merges")) {
      merges.add(
          merge.isString()
              ? merge.stringValue()
              : part(merge.path(0).stringValue()) + " " + part(merge.path(1).stringValue()));
    }
    return merges.build();
  }

  private static String part(String text) {
    return text.replace(' ', 'Ġ');
  }

  private void describeEnds(GgufMetadata metadata, List<String> tokens) throws IOException {
    SpecialTokens special = SpecialTokens.read(model.folder());
    Optional<Integer> bos = special.bos().map(text -> id(tokens, text));
    Optional<Integer> eos = special.eos().map(text -> id(tokens, text));
    bos.ifPresent(id -> metadata.put(PREFIX + "bos_token_id", id.intValue()));
    eos.ifPresent(id -> metadata.put(PREFIX + "eos_token_id", id.intValue()));
    Optional.ofNullable(special.texts().get("pad_token"))
        .ifPresent(text -> metadata.put(PREFIX + "padding_token_id", id(tokens, text)));
    model.spec().endTokens().stream()
        .filter(id -> eos.filter(id::equals).isEmpty())
        .findFirst()
        .ifPresent(id -> metadata.put(PREFIX + "eot_token_id", id.intValue()));
    try (Tokenizer tokenizer = model.tokenizer()) {
      metadata.put(PREFIX + "add_bos_token", adds(tokenizer.before(), bos, "before"));
      metadata.put(PREFIX + "add_eos_token", adds(tokenizer.behind(), eos, "behind"));
    }
  }

  private boolean adds(int[] ids, Optional<Integer> one, String where) {
    if (ids.length > 0 && (ids.length > 1 || one.filter(id -> id == ids[0]).isEmpty())) {
      throw refused("%s a text it puts the tokens %s".formatted(where, Arrays.toString(ids)));
    }
    return ids.length == 1;
  }

  private int id(List<String> tokens, String text) {
    int id = tokens.indexOf(text);
    if (id < 0) {
      throw refused("'%s', which %s names, is no token".formatted(text, SpecialTokens.FILE));
    }
    return id;
  }

  /** llama.cpp's name of the way in which a text is split. A wrong one loads and splits wrongly. */
  private String splitting() {
    String normalizer = json.json().path("normalizer").path("type").asString("");
    if (!(normalizer.isEmpty() || normalizer.equals("NFC"))) {
      throw refused("only byte-level BPE and SentencePiece's can be written");
    }
    return Splits.name(
            json.json().path("pre_tokenizer"), bpe.path("ignore_merges").asBoolean(false))
        .orElseThrow(() -> refused("llama.cpp is not known to have its pre_tokenizer"));
  }

  private BadInputException refused(String why) {
    return new BadInputException(
        "%s: %s, so the tokenizer cannot be written as GGUF".formatted(json.file(), why));
  }
}
