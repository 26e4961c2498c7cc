package dev.gptq.models.tokenizer;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Ints;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Text to token ids and back, as {@code tokenizer.json} says, without truncation and padding. */
public final class Tokenizer implements AutoCloseable {
  private static final String FILE = "tokenizer.json";

  static {
    // The library would look for a GPU build of its native part and try to download it.
    keepOrSet("RUST_FLAVOR", "cpu");
    keepOrSet("ai.djl.offline", "true");
  }

  private final HuggingFaceTokenizer tokenizer;
  private final int vocabularySize;

  private Tokenizer(HuggingFaceTokenizer tokenizer, int vocabularySize) {
    this.tokenizer = tokenizer;
    this.vocabularySize = vocabularySize;
  }

  private static void keepOrSet(String property, String value) {
    if (System.getProperty(property) == null) {
      System.setProperty(property, value);
    }
  }

  /** Reads the tokenizer of a checkpoint folder. */
  public static Tokenizer open(Path folder) throws IOException {
    Path file = folder.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      throw new BadInputException(
          file
              + " is missing; copy it from the original model (a model that has only"
              + " tokenizer.model can be converted by loading it once with a fast tokenizer)");
    }
    return new Tokenizer(load(file), Vocabulary.size(file));
  }

  private static HuggingFaceTokenizer load(Path file) throws IOException {
    LibUtils.checkStatus();
    try {
      return HuggingFaceTokenizer.newInstance(
          file,
          ImmutableMap.of("addSpecialTokens", "false", "truncation", "false", "padding", "false"));
    } catch (RuntimeException e) {
      // The native part throws no other type whatever it dislikes about the file.
      throw new BadInputException(
          "%s cannot be read (%s); download it again".formatted(file, e.getMessage()), e);
    }
  }

  /** The token ids of a text. */
  public int[] encode(String text) {
    return encode(text, false);
  }

  /**
   * The token ids of a text with those that {@code tokenizer.json} puts around every text, such as
   * the BOS token of Llama.
   */
  public int[] encodeWithSpecialTokens(String text) {
    return encode(text, true);
  }

  /**
   * The token ids of a text that is to be continued: with what {@code tokenizer.json} puts before
   * every text, such as a BOS token, and without what it puts behind, such as an end of sentence.
   */
  public int[] encodePrompt(String text) {
    int[] plain = encode(text);
    int[] whole = encodeWithSpecialTokens(text);
    int before = Ints.indexOf(whole, plain);
    return before < 0 ? whole : Arrays.copyOf(whole, before + plain.length);
  }

  private int[] encode(String text, boolean special) {
    return Arrays.stream(tokenizer.encode(text, special, false).getIds())
        .mapToInt(Math::toIntExact)
        .toArray();
  }

  /** The text of token ids; special tokens are skipped. */
  public String decode(int[] ids) {
    return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), true);
  }

  /** One more than the largest id. */
  public int vocabularySize() {
    return vocabularySize;
  }

  /** A decoder for ids that come one by one. */
  public StreamingDecoder streaming() {
    return new StreamingDecoder(this);
  }

  @Override
  public void close() {
    tokenizer.close();
  }
}
