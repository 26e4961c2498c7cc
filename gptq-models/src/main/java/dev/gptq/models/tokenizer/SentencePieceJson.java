package dev.gptq.models.tokenizer;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.tokenizer.SentencePieceModel.Kind;
import dev.gptq.models.tokenizer.SentencePieceModel.Piece;
import dev.gptq.models.tokenizer.TokenizerParts.Token;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The {@code tokenizer.json} that a model of SentencePiece stands for, with the tokens that {@code
 * tokenizer_config.json} and {@code added_tokens.json} beside it add, and with a begin or an end if
 * the former asks for one.
 */
final class SentencePieceJson {
  private static final String SPACE = TokenizerParts.SPACE;

  private final SentencePieceModel model;
  private final Optional<JsonConfig> config;
  private final Map<Integer, ObjectNode> added = new TreeMap<>();

  private SentencePieceJson(SentencePieceModel model, Optional<JsonConfig> config) {
    this.model = model;
    this.config = config;
  }

  /** Throws {@link BadInputException} if the file is damaged or of a kind that is not supported. */
  static ObjectNode read(Path file) throws IOException {
    Path config = file.resolveSibling(SpecialTokens.FILE);
    Path more = file.resolveSibling("added_tokens.json");
    SentencePieceJson json =
        new SentencePieceJson(SentencePieceModel.read(file), readIfThere(config));
    json.collectAdded(readIfThere(more));
    return json.build();
  }

  private static Optional<JsonConfig> readIfThere(Path file) throws IOException {
    return Files.isRegularFile(file) ? Optional.of(JsonConfig.read(file)) : Optional.empty();
  }

  /** Later files overrule: pieces, {@code added_tokens.json}, {@code added_tokens_decoder}. */
  private void collectAdded(Optional<JsonConfig> more) {
    ArrayNode known = JsonMapper.shared().createArrayNode();
    for (int id = 0; id < model.pieces().size(); id++) {
      Piece piece = model.pieces().get(id);
      if (isAdded(piece)) {
        TokenizerParts.add(known, new Token(id, piece.text()), piece.kind() != Kind.USER_DEFINED);
      }
    }
    if (more.isPresent()) {
      for (Map.Entry<String, JsonNode> token : more.get().json().properties()) {
        TokenizerParts.add(
            known, new Token(id(more.get(), token.getValue()), token.getKey()), false);
      }
    }
    known.forEach(token -> added.put(token.path("id").intValue(), (ObjectNode) token));
    if (config.isPresent()) {
      JsonNode decoder = config.get().json().path("added_tokens_decoder");
      for (Map.Entry<String, JsonNode> token : decoder.properties()) {
        if (!(token.getValue().deepCopy() instanceof ObjectNode entry)) {
          throw wrong(config.get(), "added_tokens_decoder." + token.getKey());
        }
        int id = id(config.get(), JsonMapper.shared().readTree(number(token.getKey())));
        added.put(id, entry.put("id", id));
      }
    }
  }

  private String number(String key) {
    if (!key.matches("[0-9]{1,9}")) {
      throw wrong(config.orElseThrow(), "added_tokens_decoder." + key);
    }
    return key;
  }

  private static int id(JsonConfig config, JsonNode id) {
    if (!id.isInt() || id.intValue() < 0) {
      throw wrong(config, id.toString());
    }
    return id.intValue();
  }

  private static BadInputException wrong(JsonConfig config, String what) {
    return new BadInputException(
        "%s: '%s' is no token and its id; download it again".formatted(config.file(), what));
  }

  /** Runs of spaces that SentencePiece was told to know are found when pieces are merged. */
  private static boolean isAdded(Piece piece) {
    return switch (piece.kind()) {
      case CONTROL, UNKNOWN -> true;
      case USER_DEFINED -> !piece.text().contains(SPACE);
      default -> false;
    };
  }

  private ObjectNode build() {
    ObjectNode root = JsonMapper.shared().createObjectNode().put("version", "1.0");
    root.putNull("truncation").putNull("padding");
    ArrayNode tokens = root.putArray("added_tokens");
    added.values().forEach(tokens::add);
    normalize(root);
    TokenizerParts.around(
        root,
        asked("add_bos_token", true, model.begin()),
        asked("add_eos_token", false, model.end()));
    decode(root);
    if (model.unigram()) {
      unigram(root.putObject("model"));
    } else {
      pairs(root.putObject("model"));
    }
    return root;
  }

  private Optional<Token> asked(String key, boolean usual, Optional<Token> token) {
    boolean asked = config.flatMap(c -> c.optionalBoolean(key)).orElse(usual);
    return asked ? token : Optional.empty();
  }

  /**
   * A space stands before the text only, or before what follows any added token too: {@code legacy}
   * says so. SentencePiece itself, which has user-defined pieces within texts, does the former.
   */
  private boolean first() {
    boolean userDefined =
        model.pieces().stream().anyMatch(piece -> piece.kind() == Kind.USER_DEFINED);
    return !config.flatMap(c -> c.optionalBoolean("legacy")).orElse(!userDefined);
  }

  private void normalize(ObjectNode root) {
    ArrayNode steps = JsonMapper.shared().createArrayNode();
    if (!model.charsmap().isEmpty()) {
      steps.addObject().put("type", "Precompiled").put("precompiled_charsmap", model.charsmap());
    }
    if (model.trimmed()) {
      expression(steps, "\\A +| +\\z", "");
      expression(steps, " {2,}", " ");
    }
    boolean first = model.prefixed() && first();
    if (model.prefixed() && !first) {
      steps.addObject().put("type", "Prepend").put("prepend", SPACE);
    }
    TokenizerParts.replace(steps, " ", SPACE);
    root.putObject("normalizer").put("type", "Sequence").set("normalizers", steps);
    if (first) {
      TokenizerParts.prefixFirst(root);
    } else {
      root.putNull("pre_tokenizer");
    }
  }

  private static void expression(ArrayNode steps, String from, String to) {
    ObjectNode step = steps.addObject().put("type", "Replace");
    step.putObject("pattern").put("Regex", from);
    step.put("content", to);
  }

  private void decode(ObjectNode root) {
    ArrayNode steps = root.putObject("decoder").put("type", "Sequence").putArray("decoders");
    TokenizerParts.replace(steps, SPACE, " ");
    steps.addObject().put("type", "ByteFallback");
    steps.addObject().put("type", "Fuse");
    if (model.prefixed()) {
      steps.addObject().put("type", "Strip").put("content", " ").put("start", 1).put("stop", 0);
    }
  }

  /** Its vocabulary has no room for further tokens, which get the ids behind it in their order. */
  private void unigram(ObjectNode json) {
    int next = model.pieces().size();
    for (Integer id : added.keySet()) {
      if (id > next) {
        throw new BadInputException(
            "%s: token %d is added, but %d is not, which is not supported with model_type 1"
                .formatted(model.file(), id, next));
      }
      next = Math.max(next, id + 1);
    }
    json.put("type", "Unigram").put("unk_id", model.unknown());
    json.put("byte_fallback", model.byteFallback());
    ArrayNode vocabulary = json.putArray("vocab");
    for (Piece piece : model.pieces()) {
      if (piece.kind() == Kind.UNUSED) {
        throw new BadInputException(
            "%s: the piece '%s' is not to be used, which is not supported with model_type 1"
                .formatted(model.file(), piece.text()));
      }
      vocabulary.addArray().add(piece.text()).add((double) piece.score());
    }
  }

  private void pairs(ObjectNode json) {
    json.put("type", "BPE").putNull("dropout");
    json.put("unk_token", model.pieces().get(model.unknown()).text());
    json.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
    json.put("fuse_unk", true).put("byte_fallback", model.byteFallback());
    json.put("ignore_merges", false);
    ObjectNode vocabulary = json.putObject("vocab");
    Map<String, Integer> ids = new HashMap<>();
    for (int id = 0; id < model.pieces().size(); id++) {
      Piece piece = model.pieces().get(id);
      vocabulary.put(piece.text(), id);
      if (piece.kind() == Kind.NORMAL || (piece.kind() == Kind.USER_DEFINED && !isAdded(piece))) {
        ids.putIfAbsent(piece.text(), id);
      }
    }
    // Tokens that are not in the vocabulary would get other ids than those they ask for.
    added.forEach((id, token) -> vocabulary.put(token.path("content").asString(""), id));
    TokenizerParts.merge(
        TokenizerParts.into(json.putArray("merges")), ids, id -> model.pieces().get(id).score());
  }
}
