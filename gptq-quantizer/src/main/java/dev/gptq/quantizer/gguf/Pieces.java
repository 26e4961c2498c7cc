package dev.gptq.quantizer.gguf;

import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.tokenizer.TokenizerParts;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/**
 * A vocabulary of SentencePiece as it is found in a {@code tokenizer.json}: its scores are not
 * there, but llama.cpp needs them for nothing but the order of merges. So the score of a piece is
 * the rank of the first merge that makes it, negative.
 */
final class Pieces {
  private static final String PREFIX = "tokenizer.ggml.";
  private static final String SPACE = "▁";
  private static final int UNKNOWN = 2;
  private static final int BYTE = 6;
  private static final Pattern BYTES = Pattern.compile("<0x[0-9A-F]{2}>");

  private final JsonConfig file;
  private final JsonNode root;

  private Pieces(JsonConfig file) {
    this.file = file;
    this.root = file.json();
  }

  static Pieces of(JsonConfig file) {
    return new Pieces(file);
  }

  /** Adds scores and what is said of spaces; types of bytes and of the unknown piece are set. */
  void describe(GgufMetadata metadata, List<String> tokens, List<Integer> types) {
    Map<String, Integer> ranks = ranks();
    List<Float> scores = new ArrayList<>();
    String unknown = root.path("model").path("unk_token").asString("");
    for (int id = 0; id < tokens.size(); id++) {
      String token = tokens.get(id);
      if (BYTES.matcher(token).matches()) {
        types.set(id, BYTE);
      } else if (token.equals(unknown)) {
        types.set(id, UNKNOWN);
        metadata.put(PREFIX + "unknown_token_id", id);
      }
      scores.add(ranks.containsKey(token) ? -(float) ranks.get(token) : -(float) ranks.size());
    }
    metadata.putFloats(PREFIX + "scores", scores);
    metadata.put(PREFIX + "add_space_prefix", beginsWithSpace());
  }

  private Map<String, Integer> ranks() {
    Map<String, Integer> ranks = new HashMap<>();
    int rank = 0;
    for (JsonNode merge : root.path("model").path("merges")) {
      String made =
          merge.isString()
              ? merge.stringValue().replace(" ", "")
              : merge.path(0).stringValue() + merge.path(1).stringValue();
      ranks.putIfAbsent(made, rank++);
    }
    return ranks;
  }

  /**
   * Whether a text begins with a space that is not there; throws if spaces are treated otherwise.
   */
  private boolean beginsWithSpace() {
    JsonNode normalizer = root.path("normalizer");
    JsonNode pre = root.path("pre_tokenizer");
    if (normalizer.isMissingNode() || normalizer.isNull()) {
      String scheme = pre.path("prepend_scheme").asString("");
      if (pre.path("type").asString("").equals("Metaspace")
          && !pre.path("split").asBoolean(true)
          && (scheme.equals("first") || scheme.equals("always"))) {
        return true;
      }
      throw refused();
    }
    boolean prepends = false;
    boolean replaces = false;
    for (JsonNode step : steps(normalizer)) {
      switch (step.path("type").asString("")) {
        case "Prepend" -> prepends = step.path("prepend").asString("").equals(SPACE);
        case "Replace" ->
            replaces =
                step.path("pattern").path("String").asString("").equals(" ")
                    && step.path("content").asString("").equals(SPACE);
        default -> throw refused();
      }
    }
    // Gemma splits at spaces, of which none are left by then.
    boolean plain =
        pre.isMissingNode()
            || pre.isNull()
            || TokenizerParts.isPrefixFirst(pre)
            || pre.path("pattern").path("String").asString("").equals(" ");
    if (!replaces || !plain) {
      throw refused();
    }
    return prepends || TokenizerParts.isPrefixFirst(pre);
  }

  private static List<JsonNode> steps(JsonNode normalizer) {
    List<JsonNode> steps = new ArrayList<>();
    if (normalizer.path("type").asString("").equals("Sequence")) {
      normalizer.path("normalizers").forEach(steps::add);
    } else {
      steps.add(normalizer);
    }
    return steps;
  }

  private BadInputException refused() {
    return new BadInputException(
        "%s: it does not treat spaces as llama.cpp does, so the tokenizer cannot be written as GGUF"
            .formatted(file.file()));
  }
}
