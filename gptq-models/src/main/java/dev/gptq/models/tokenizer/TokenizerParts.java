package dev.gptq.models.tokenizer;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.function.IntToDoubleFunction;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** Parts of a {@code tokenizer.json} that is made of another kind of file. */
public final class TokenizerParts {
  /** What SentencePiece has for a space. */
  public static final String SPACE = "▁";

  private TokenizerParts() {}

  /**
   * A token and its id.
   *
   * @param id its place in the vocabulary
   * @param text what it is found by in a text
   */
  public record Token(int id, String text) {}

  /** Adds a token that is looked for in the text before anything else is done. */
  public static void add(ArrayNode added, Token token, boolean special) {
    added
        .addObject()
        .put("id", token.id())
        .put("content", token.text())
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", special);
  }

  /** Adds a step of a normalizer or decoder that replaces a text by another. */
  public static void replace(ArrayNode steps, String from, String to) {
    ObjectNode step = steps.addObject().put("type", "Replace");
    step.putObject("pattern").put("String", from);
    step.put("content", to);
  }

  /**
   * Puts a space before a text and not before what follows an added token in it. The step for that
   * leaves out texts that begin with its space; here they are all {@link #SPACE} by then.
   */
  static void prefixFirst(ObjectNode root) {
    ArrayNode steps =
        root.putObject("pre_tokenizer").put("type", "Sequence").putArray("pretokenizers");
    metaspace(steps, " ", "first");
    metaspace(steps, SPACE, "never");
  }

  private static void metaspace(ArrayNode steps, String space, String prepend) {
    steps
        .addObject()
        .put("type", "Metaspace")
        .put("replacement", space)
        .put("prepend_scheme", prepend)
        .put("split", false);
  }

  /** Whether a {@code pre_tokenizer} puts a space before the text only, whatever it begins with. */
  public static boolean isPrefixFirst(JsonNode pre) {
    ObjectNode root = JsonMapper.shared().createObjectNode();
    prefixFirst(root);
    return pre.equals(root.path("pre_tokenizer"));
  }

  /** Says what stands before and behind every text. */
  public static void around(ObjectNode root, Optional<Token> before, Optional<Token> behind) {
    if (before.isEmpty() && behind.isEmpty()) {
      root.putNull("post_processor");
      return;
    }
    ObjectNode processor = root.putObject("post_processor").put("type", "TemplateProcessing");
    ArrayNode single = processor.putArray("single");
    ArrayNode pair = processor.putArray("pair");
    ObjectNode special = processor.putObject("special_tokens");
    before.ifPresent(token -> special(single, pair, special, token));
    single.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
    pair.addObject().putObject("Sequence").put("id", "A").put("type_id", 0);
    pair.addObject().putObject("Sequence").put("id", "B").put("type_id", 1);
    behind.ifPresent(token -> special(single, pair, special, token));
  }

  private static void special(ArrayNode single, ArrayNode pair, ObjectNode special, Token token) {
    String text = token.text();
    single.addObject().putObject("SpecialToken").put("id", text).put("type_id", 0);
    pair.addObject().putObject("SpecialToken").put("id", text).put("type_id", 0);
    ObjectNode entry = special.putObject(text).put("id", text);
    entry.putArray("ids").add(token.id());
    entry.putArray("tokens").add(text);
  }

  /** Adds pairs of pieces to a list. */
  static BiConsumer<String, String> into(ArrayNode merges) {
    return (left, right) -> merges.addArray().add(left).add(right);
  }

  /** Two pieces that become one, by the score of that one. */
  private record Merge(String left, String right, double score, int leftId, int rightId) {}

  /**
   * Shows all ways in which two pieces make a third one, those with the highest score first.
   *
   * @param merges hears of the pieces, the left one first
   * @param ids the pieces
   * @param score of the piece of that id
   */
  public static void merge(
      BiConsumer<String, String> merges, Map<String, Integer> ids, IntToDoubleFunction score) {
    List<Merge> found = new ArrayList<>();
    for (Map.Entry<String, Integer> piece : ids.entrySet()) {
      String text = piece.getKey();
      double value = score.applyAsDouble(piece.getValue());
      for (int at = text.isEmpty() ? 0 : text.offsetByCodePoints(0, 1); at < text.length(); ) {
        Integer left = ids.get(text.substring(0, at));
        Integer right = ids.get(text.substring(at));
        if (left != null && right != null) {
          found.add(new Merge(text.substring(0, at), text.substring(at), value, left, right));
        }
        at = text.offsetByCodePoints(at, 1);
      }
    }
    found.sort(
        Comparator.comparingDouble((Merge merge) -> -merge.score())
            .thenComparingInt(Merge::leftId)
            .thenComparingInt(Merge::rightId));
    for (Merge merge : found) {
      merges.accept(merge.left(), merge.right());
    }
  }
}
