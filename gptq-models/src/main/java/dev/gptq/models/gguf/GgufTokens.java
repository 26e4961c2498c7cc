package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufValues;
import dev.gptq.models.tokenizer.TokenizerParts;
import dev.gptq.models.tokenizer.TokenizerParts.Token;
import java.io.OutputStream;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import tools.jackson.core.JsonGenerator;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The {@code tokenizer.json} that the entries of a GGUF file stand for: byte-level pair encoding
 * with its merges, or a vocabulary of SentencePiece, whose scores say in which order pieces are
 * merged.
 */
final class GgufTokens {
  /** Shows all pairs of pieces that become one, the first to be merged first. */
  private interface Merges extends Consumer<BiConsumer<String, String>> {}

  private static final String PREFIX = "tokenizer.ggml.";
  private static final String MODEL = "model";
  private static final String SPACE = TokenizerParts.SPACE;

  private static final int NORMAL = 1;
  private static final int UNKNOWN = 2;
  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;
  private static final int UNUSED = 5;
  private static final int BYTE = 6;

  private final GgufValues values;
  private final ImmutableList<String> tokens;
  private final ImmutableList<Number> types;
  private final JsonMapper json = JsonMapper.shared();

  private GgufTokens(GgufValues values) {
    this.values = values;
    this.tokens = values.texts(PREFIX + "tokens").orElseThrow(() -> missing("tokens"));
    this.types = values.numbers(PREFIX + "token_type").orElse(ImmutableList.of());
  }

  /**
   * Writes it, number by number: a tree of hundreds of thousands of nodes takes a start of seconds.
   *
   * @throws BadInputException if it is of another kind, or damaged
   */
  static void write(GgufValues values, OutputStream out) {
    GgufTokens tokens = new GgufTokens(values);
    ObjectNode root = tokens.json.createObjectNode().put("version", "1.0");
    Merges merges = tokens.build(root);
    try (JsonGenerator generator = tokens.json.createGenerator(out)) {
      generator.writeStartObject();
      for (Map.Entry<String, JsonNode> entry : root.properties()) {
        generator.writeName(entry.getKey());
        if (entry.getKey().equals(MODEL)) {
          tokens.write((ObjectNode) entry.getValue(), merges, generator);
        } else {
          generator.writeTree(entry.getValue());
        }
      }
      generator.writeEndObject();
    }
  }

  /** The model, and behind it its vocabulary and its merges. */
  private void write(ObjectNode model, Merges merges, JsonGenerator generator) {
    generator.writeStartObject();
    for (Map.Entry<String, JsonNode> entry : model.properties()) {
      generator.writeName(entry.getKey());
      generator.writeTree(entry.getValue());
    }
    generator.writeName("vocab");
    generator.writeStartObject();
    Set<String> known = new HashSet<>(2 * tokens.size());
    for (int id = 0; id < tokens.size(); id++) {
      if (isThere(id)) {
        if (!known.add(tokens.get(id))) {
          throw damaged("the token '%s' is there twice".formatted(tokens.get(id)));
        }
        generator.writeName(tokens.get(id));
        generator.writeNumber(id);
      }
    }
    generator.writeEndObject();
    generator.writeName("merges");
    generator.writeStartArray();
    merges.accept((left, right) -> {
      generator.writeStartArray();
      generator.writeString(left);
      generator.writeString(right);
      generator.writeEndArray();
    });
    generator.writeEndArray();
    generator.writeEndObject();
  }

  /** Adds all but vocabulary and merges, and returns these. */
  private Merges build(ObjectNode root) {
    String model = values.text(PREFIX + "model").orElseThrow(() -> missing("model"));
    if (!types.isEmpty() && types.size() != tokens.size()) {
      throw damaged("it has %d tokens and types of %d".formatted(tokens.size(), types.size()));
    }
    root.putNull("truncation").putNull("padding");
    root.set("added_tokens", added());
    return switch (model) {
      case "gpt2" -> byteLevel(root);
      case "llama" -> sentencePiece(root);
      case "gemma4" -> {
        sentencePiece(root);
        yield listed();
      }
      default ->
          throw new BadInputException(
              "%s: a tokenizer of the kind '%s' cannot be read; gpt2, llama and gemma4 can"
                  .formatted(values.file(), model));
    };
  }

  private Merges byteLevel(ObjectNode root) {
    String name = values.text(PREFIX + "pre").orElse("default");
    Splits.Split split =
        Splits.find(name)
            .orElseThrow(() ->
                new BadInputException(
                    "%s: how the tokenizer '%s' splits texts is not known here; these are: %s"
                        .formatted(values.file(), name, Splits.names())));
    if (name.startsWith("qwen2")) {
      root.putObject("normalizer").put("type", "NFC");
    } else {
      root.putNull("normalizer");
    }
    root.set("pre_tokenizer", split.json());
    around(root, split.whole() && !name.equals("glm4"));
    root.putObject("decoder")
        .put("type", "ByteLevel")
        .put("add_prefix_space", true)
        .put("trim_offsets", true)
        .put("use_regex", true);
    model(root, split.whole(), false);
    return listed();
  }

  /** Those that a file lists. */
  private Merges listed() {
    ImmutableList<String> pairs =
        values.texts(PREFIX + "merges").orElseThrow(() -> missing("merges"));
    return each -> {
      for (String merge : pairs) {
        int space = merge.indexOf(' ', 1);
        if (space < 0) {
          throw damaged("the merge '%s' has no two parts".formatted(merge));
        }
        each.accept(merge.substring(0, space), merge.substring(space + 1));
      }
    };
  }

  private Merges sentencePiece(ObjectNode root) {
    boolean prefix = values.truth(PREFIX + "add_space_prefix").orElse(true);
    ObjectNode normalizer = root.putObject("normalizer").put("type", "Sequence");
    ArrayNode steps = normalizer.putArray("normalizers");
    if (prefix) {
      steps.addObject().put("type", "Prepend").put("prepend", SPACE);
    }
    TokenizerParts.replace(steps, " ", SPACE);
    root.putNull("pre_tokenizer");
    around(root, true);
    ArrayNode back = root.putObject("decoder").put("type", "Sequence").putArray("decoders");
    TokenizerParts.replace(back, SPACE, " ");
    back.addObject().put("type", "ByteFallback");
    back.addObject().put("type", "Fuse");
    if (prefix) {
      back.addObject().put("type", "Strip").put("content", " ").put("start", 1).put("stop", 0);
    }
    model(root, false, true);
    return scored();
  }

  private void model(ObjectNode root, boolean whole, boolean pieces) {
    ObjectNode bpe = root.putObject(MODEL).put("type", "BPE");
    bpe.putNull("dropout");
    if (pieces) {
      bpe.put("unk_token", tokens.get(unknown()));
    } else {
      bpe.putNull("unk_token");
    }
    bpe.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
    bpe.put("fuse_unk", pieces).put("byte_fallback", pieces).put("ignore_merges", whole);
  }

  private int unknown() {
    return values
        .integer(PREFIX + "unknown_token_id")
        .filter(id -> id < tokens.size())
        .orElseGet(() -> {
          int id = 0;
          while (id < tokens.size() - 1 && type(id) != UNKNOWN) {
            id++;
          }
          return id;
        });
  }

  private int type(int id) {
    return types.isEmpty() ? NORMAL : types.get(id).intValue();
  }

  /** Ids without a token have a text that says so. */
  private boolean isThere(int id) {
    return type(id) != UNUSED || !tokens.get(id).equals("[PAD" + id + "]");
  }

  /** Whether a token is looked for in the text before anything else is done. */
  private boolean isAdded(int id) {
    return switch (type(id)) {
      case UNKNOWN, CONTROL -> true;
      // Runs of spaces that SentencePiece was told to know are found when pieces are merged.
      case USER_DEFINED -> !tokens.get(id).contains(SPACE);
      default -> false;
    };
  }

  private ArrayNode added() {
    ArrayNode added = json.createArrayNode();
    for (int id = 0; id < tokens.size(); id++) {
      if (isAdded(id)) {
        TokenizerParts.add(added, token(id), type(id) != USER_DEFINED);
      }
    }
    return added;
  }

  /** What stands before and behind every text. */
  private void around(ObjectNode root, boolean usualBegin) {
    TokenizerParts.around(
        root,
        end("bos_token_id", "add_bos_token", usualBegin).map(this::token),
        end("eos_token_id", "add_eos_token", false).map(this::token));
  }

  private Token token(int id) {
    return new Token(id, tokens.get(id));
  }

  private Optional<Integer> end(String key, String added, boolean usual) {
    return values.truth(PREFIX + added).orElse(usual) ? id(key) : Optional.empty();
  }

  /** The token that an entry names, if it is there. */
  private Optional<Integer> id(String key) {
    Optional<Integer> id = values.integer(PREFIX + key);
    if (id.isPresent() && id.get() >= tokens.size()) {
      throw damaged("'%s' is %d of %d tokens".formatted(PREFIX + key, id.get(), tokens.size()));
    }
    return id;
  }

  private Merges scored() {
    ImmutableList<Number> scores =
        values.numbers(PREFIX + "scores").orElseThrow(() -> missing("scores"));
    if (scores.size() != tokens.size()) {
      throw damaged("it has %d tokens and %d scores".formatted(tokens.size(), scores.size()));
    }
    Map<String, Integer> ids = new HashMap<>();
    for (int id = 0; id < tokens.size(); id++) {
      if (!isAdded(id) && type(id) != UNUSED && type(id) != BYTE) {
        ids.putIfAbsent(tokens.get(id), id);
      }
    }
    return each -> TokenizerParts.merge(each, ids, id -> scores.get(id).floatValue());
  }

  private BadInputException missing(String key) {
    return new BadInputException(
        "%s: '%s' is missing; the file has no tokenizer".formatted(values.file(), PREFIX + key));
  }

  private BadInputException damaged(String what) {
    return new BadInputException(
        "%s: the tokenizer is damaged: %s; download the file again".formatted(values.file(), what));
  }

  /** The {@code tokenizer_config.json}: special tokens by their names, and the chat template. */
  static ObjectNode configuration(GgufValues values) {
    GgufTokens tokens = new GgufTokens(values);
    ObjectNode config = tokens.json.createObjectNode();
    config.put("tokenizer_class", "PreTrainedTokenizerFast");
    tokens.name(config, "bos_token", "bos_token_id");
    tokens.name(config, "eos_token", "eos_token_id");
    tokens.name(config, "unk_token", "unknown_token_id");
    tokens.name(config, "pad_token", "padding_token_id");
    values
        .text("tokenizer.chat_template")
        .ifPresent(template -> config.put("chat_template", template));
    return config;
  }

  private void name(ObjectNode config, String name, String key) {
    id(key).ifPresent(id -> config.put(name, tokens.get(id)));
  }

  /** The tokens that end an answer. */
  static ImmutableList<Integer> ends(GgufValues values) {
    GgufTokens tokens = new GgufTokens(values);
    ImmutableList.Builder<Integer> ends = ImmutableList.builder();
    for (String key : List.of("eos_token_id", "eot_token_id", "eom_token_id")) {
      tokens.id(key).ifPresent(ends::add);
    }
    return ends.build().stream().distinct().collect(ImmutableList.toImmutableList());
  }
}
