package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The ways in which byte-level tokenizers split a text before they merge, by the names that {@code
 * tokenizer.ggml.pre} has for them. A wrong one loads and splits wrongly, so others are refused.
 */
public final class Splits {
  private static final String WORDS =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|%s"
          + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String CASED =
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+%1$s"
          + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*%1$s"
          + "|%2$s| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  private static final Split QWEN = Split.of(WORDS.formatted("\\p{N}"));
  private static final Split LLAMA = Split.of(WORDS.formatted("\\p{N}{1,3}")).asWhole();
  private static final Split GPT_2 = new Split(ImmutableList.of(), false, true, false);
  private static final Split DIGITS = new Split(ImmutableList.of(), true, true, false);

  /** By llama.cpp's names, the first of those that mean the same being the one that is written. */
  private static final ImmutableMap<String, Split> ALL =
      ImmutableMap.<String, Split>builder()
          .put("gpt-2", GPT_2)
          .put("olmo", GPT_2)
          .put("phi-2", GPT_2)
          .put("mpt", GPT_2)
          .put("exaone4", GPT_2)
          .put("smollm", DIGITS)
          .put("starcoder", DIGITS)
          .put("refact", DIGITS)
          .put("command-r", DIGITS)
          .put("codeshell", DIGITS)
          .put("exaone", DIGITS)
          .put("qwen2", QWEN)
          .put("deepseek-r1-qwen", QWEN)
          .put("stablelm2", QWEN)
          .put("hunyuan", QWEN)
          .put("megrez", QWEN)
          .put("llama-bpe", LLAMA)
          .put("llama3", LLAMA)
          .put("llama-v3", LLAMA)
          .put("falcon3", LLAMA)
          .put("falcon-h1", LLAMA)
          .put("lfm2", LLAMA)
          .put("glm4", LLAMA)
          .put("dbrx", Split.of(WORDS.formatted("\\p{N}{1,3}")))
          .put("smaug-bpe", Split.of(WORDS.formatted("\\p{N}{1,3}")))
          .put("chatglm-bpe", Split.of(WORDS.formatted("\\p{N}{1,3}")))
          .put("tekken", Split.of(CASED.formatted("", "\\p{N}")).asWhole())
          .put("gpt-4o", Split.of(CASED.formatted("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}")))
          .buildOrThrow();

  private Splits() {}

  /**
   * One way.
   *
   * @param expressions of pieces, one after the other
   * @param digits whether each digit is a piece of its own before that
   * @param classic whether the pieces are those of GPT-2
   * @param whole whether a piece that is a token needs no merges
   */
  public record Split(
      ImmutableList<String> expressions, boolean digits, boolean classic, boolean whole) {

    private static Split of(String expression) {
      return new Split(ImmutableList.of(expression), false, false, false);
    }

    private Split asWhole() {
      return new Split(expressions, digits, classic, true);
    }

    /** The {@code pre_tokenizer} of a {@code tokenizer.json}. */
    ObjectNode json() {
      ObjectNode sequence = JsonMapper.shared().createObjectNode().put("type", "Sequence");
      ArrayNode steps = sequence.putArray("pretokenizers");
      if (digits) {
        steps.addObject().put("type", "Digits").put("individual_digits", true);
      }
      for (String expression : expressions) {
        ObjectNode split = steps.addObject().put("type", "Split");
        split.putObject("pattern").put("Regex", expression);
        split.put("behavior", "Isolated").put("invert", false);
      }
      steps
          .addObject()
          .put("type", "ByteLevel")
          .put("add_prefix_space", false)
          .put("trim_offsets", true)
          .put("use_regex", classic);
      return sequence;
    }
  }

  /** The way of that name. */
  static Optional<Split> find(String name) {
    return Optional.ofNullable(ALL.get(name));
  }

  /** All names, for messages. */
  static String names() {
    return String.join(", ", ALL.keySet());
  }

  /**
   * The name of the way in which a tokenizer splits, if it is one of these.
   *
   * @param pre the {@code pre_tokenizer} of its {@code tokenizer.json}
   * @param whole whether a piece that is a token needs no merges
   */
  public static Optional<String> name(JsonNode pre, boolean whole) {
    Optional<Split> split = read(pre, whole);
    return ALL.entrySet().stream()
        .filter(entry -> split.filter(entry.getValue()::equals).isPresent())
        .map(entry -> entry.getKey())
        .findFirst();
  }

  private static Optional<Split> read(JsonNode pre, boolean whole) {
    ImmutableList<JsonNode> steps =
        pre.path("type").asString("").equals("Sequence")
            ? ImmutableList.copyOf(pre.path("pretokenizers"))
            : ImmutableList.of(pre);
    ImmutableList.Builder<String> expressions = ImmutableList.builder();
    boolean digits = false;
    boolean classic = false;
    for (int i = 0; i < steps.size(); i++) {
      JsonNode step = steps.get(i);
      boolean last = i == steps.size() - 1;
      switch (step.path("type").asString("")) {
        case "Digits" -> {
          if (last || digits || !step.path("individual_digits").asBoolean(false)) {
            return Optional.empty();
          }
          digits = true;
        }
        case "Split" -> {
          String expression = step.path("pattern").path("Regex").asString("");
          if (last
              || expression.isEmpty()
              || step.path("invert").asBoolean(false)
              || !step.path("behavior").asString("").equals("Isolated")) {
            return Optional.empty();
          }
          expressions.add(expression);
        }
        case "ByteLevel" -> {
          if (!last || step.path("add_prefix_space").asBoolean(false)) {
            return Optional.empty();
          }
          classic = step.path("use_regex").asBoolean(true);
        }
        default -> {
          return Optional.empty();
        }
      }
    }
    return Optional.of(new Split(expressions.build(), digits, classic, whole));
  }
}
