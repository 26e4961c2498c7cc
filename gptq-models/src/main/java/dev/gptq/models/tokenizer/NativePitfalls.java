package dev.gptq.models.tokenizer;

import dev.gptq.formats.BadInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import tools.jackson.databind.JsonNode;

/**
 * Settings of a {@code tokenizer.json} at which the native library does not answer with an error
 * but ends the process: {@code tokenizers} 0.21 panics where it reads them or at the first text.
 */
final class NativePitfalls {
  /** Its reader goes no deeper than 128, the document itself included. */
  private static final int DEEPEST = 100;

  private NativePitfalls() {}

  /** Of {@code decoder}: whatever cannot be read there is fatal. */
  static void checkDecoder(Path file, JsonNode decoder) {
    checkReadable(file, decoder, 0);
    checkStrips(file, decoder);
  }

  private static void checkReadable(Path file, JsonNode node, int depth) {
    if (depth > DEEPEST) {
      throw refused(file, "the decoder is nested deeper than " + DEEPEST + " levels");
    }
    if (node.isString()) {
      checkText(file, node.stringValue());
    } else if (node.isNumber()
        && (node.isFloatingPointNumber() || node.isBigInteger())
        && !Double.isFinite(node.asDouble())) {
      throw refused(file, "a number of the decoder is too large");
    }
    node.propertyNames().forEach(name -> checkText(file, name));
    node.forEach(child -> checkReadable(file, child, depth + 1));
  }

  private static void checkText(Path file, String text) {
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
      throw refused(file, "a text of the decoder has half a character");
    }
  }

  /** Characters are taken off the end of a token without asking whether there are as many. */
  private static void checkStrips(Path file, JsonNode node) {
    if (node.has("stop") && node.get("stop").asLong(1) != 0) {
      throw refused(file, "its decoder strips characters from the end of tokens");
    }
    node.forEach(child -> checkStrips(file, child));
  }

  /** Of {@code normalizer}: a table of characters that leads nowhere. */
  static void checkNormalizer(Path file, JsonNode normalizer) {
    JsonNode charsmap = normalizer.path("precompiled_charsmap");
    if (charsmap.isString() && !NativeCharsmap.isSound(charsmap.stringValue())) {
      throw refused(file, "the precompiled_charsmap of its normalizer is damaged");
    }
    normalizer.forEach(child -> checkNormalizer(file, child));
  }

  /** Of {@code post_processor}: the template of a single text must find what it names. */
  static void checkPostProcessor(Path file, JsonNode processor) {
    JsonNode single = processor.path("single");
    for (JsonNode piece : single) {
      JsonNode special = piece.path("SpecialToken").path("id");
      if (special.isString() && !processor.path("special_tokens").has(special.stringValue())) {
        throw refused(
            file,
            "its template names a special token '" + special.stringValue() + "' that is not there");
      }
      JsonNode sequence = piece.path("Sequence").path("id");
      if (sequence.isString() && !sequence.stringValue().equals("A")) {
        throw refused(file, "its template for one text asks for a second one");
      }
    }
    processor.path("processors").forEach(child -> checkPostProcessor(file, child));
  }

  /** Of a merge, a pair or a text with a space: the prefix is cut off what comes second. */
  static void checkMerge(Path file, JsonNode merge, String prefix) {
    String second =
        merge.isArray()
            ? merge.path(1).asString("")
            : merge.asString("").replaceFirst("^[^ ]* ?", "");
    if (!second.startsWith(prefix)) {
      throw refused(file, "merge %s lacks the prefix '%s'".formatted(merge, prefix));
    }
  }

  /** Merges can only be checked once their prefix is known; every writer has it before them. */
  static void checkOrder(Path file, boolean merged) {
    if (merged) {
      throw refused(file, "continuing_subword_prefix stands behind the merges it is for");
    }
  }

  private static BadInputException refused(Path file, String what) {
    return new BadInputException("%s: %s; download it again".formatted(file, what));
  }
}
