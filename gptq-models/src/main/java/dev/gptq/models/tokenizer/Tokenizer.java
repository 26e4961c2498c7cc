package dev.gptq.models.tokenizer;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Ints;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.InputStream;
import java.lang.ref.Reference;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;

/**
 * Text to token ids and back, as {@code tokenizer.json} says, or what stands for it, without
 * truncation and padding.
 */
public final class Tokenizer implements AutoCloseable {
  /** Below that many characters room in the heap is not asked for beforehand. */
  private static final int SHORT = 1 << 16;

  /** Any text without special tokens of its own. */
  private static final String PROBE = "a";

  private final HuggingFaceTokenizer tokenizer;
  private final Vocabulary vocabulary;
  private final int rows;

  private Tokenizer(HuggingFaceTokenizer tokenizer, Vocabulary vocabulary, int rows) {
    this.tokenizer = tokenizer;
    this.vocabulary = vocabulary;
    this.rows = rows;
  }

  /**
   * Loads what all tokenizers need, which takes a tenth of a second, so that the next one that is
   * opened need not. If it cannot be loaded, that one says so.
   */
  public static void prepare() {
    try {
      NativeLibrary.load();
    } catch (IOException e) {
      // Opening a tokenizer tries again and throws the same.
    }
  }

  /** Reads the tokenizer of a checkpoint folder. */
  public static Tokenizer open(Path folder) throws IOException {
    return open(folder, Integer.MAX_VALUE);
  }

  /**
   * Reads the tokenizer of a checkpoint folder for a model whose embedding has that many rows. A
   * text with a token whose id has none is refused when it is encoded: a fine-tune may have added
   * tokens and never resized the model.
   */
  public static Tokenizer open(Path folder, int rows) throws IOException {
    return open(folder, TokenizerSource.find(folder), rows);
  }

  /** The same where what describes the tokenizer has been looked for. */
  public static Tokenizer open(Path folder, Optional<TokenizerSource> found, int rows)
      throws IOException {
    TokenizerSource source =
        found.orElseThrow(() ->
            new BadInputException(
                folder.resolve(Vocabulary.FILE)
                    + " is missing; copy it from the original model, or its tekken.json or"
                    + " tokenizer.model"));
    Vocabulary vocabulary = source.vocabulary();
    return new Tokenizer(load(source), vocabulary, rows);
  }

  private static HuggingFaceTokenizer load(TokenizerSource source) throws IOException {
    NativeLibrary.load();
    Path file = source.file();
    ImmutableMap<String, String> options =
        ImmutableMap.of("addSpecialTokens", "false", "truncation", "false", "padding", "false");
    try (InputStream converted = source.open()) {
      return source.isConverted()
          ? HuggingFaceTokenizer.newInstance(converted, options)
          : HuggingFaceTokenizer.newInstance(file, options);
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
   * What {@code tokenizer.json} puts before every text, such as the BOS token of Llama; nothing in
   * many models.
   */
  public int[] before() {
    int[] whole = encodeWithSpecialTokens(PROBE);
    return Arrays.copyOf(whole, Math.max(0, Ints.indexOf(whole, encode(PROBE))));
  }

  /** What {@code tokenizer.json} puts behind every text, such as the end of a sentence in BERT. */
  public int[] behind() {
    int[] plain = encode(PROBE);
    int[] whole = encodeWithSpecialTokens(PROBE);
    int at = Ints.indexOf(whole, plain);
    return at < 0 ? new int[0] : Arrays.copyOfRange(whole, at + plain.length, whole.length);
  }

  /** What the special tokens of the model are. */
  public SpecialTokens specialTokens() throws IOException {
    return SpecialTokens.read(vocabulary.file().toAbsolutePath().getParent());
  }

  /** Only ids are asked for: tokens, spans and masks would take two hundred bytes a token. */
  private int[] encode(String text, boolean special) {
    requireRoom(text);
    long encoding = TokenizersLibrary.LIB.encode(tokenizer.getHandle(), text, special);
    try {
      long[] ids = TokenizersLibrary.LIB.getTokenIds(encoding);
      for (long id : ids) {
        if (id >= rows) {
          String token =
              TokenizersLibrary.LIB.decode(tokenizer.getHandle(), new long[] {id}, false);
          throw vocabulary.beyond(Math.toIntExact(id), token, rows);
        }
      }
      return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
    } finally {
      TokenizersLibrary.LIB.deleteEncoding(encoding);
    }
  }

  /**
   * Where the heap has no room for the ids, the native library ends the process; here it is an
   * {@link OutOfMemoryError}. A token takes a byte of text at least.
   */
  private static void requireRoom(String text) {
    if (text.length() > SHORT) {
      long bytes = text.codePoints().mapToLong(Tokenizer::utf8Length).sum();
      long[] room = null;
      try {
        room = new long[(int) Math.min(bytes + SHORT, Integer.MAX_VALUE - 8)];
      } finally {
        Reference.reachabilityFence(room);
      }
    }
  }

  private static int utf8Length(int codePoint) {
    if (codePoint < 0x80) {
      return 1;
    }
    return codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
  }

  /** The text of token ids; special tokens are skipped. */
  public String decode(int[] ids) {
    return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), true);
  }

  /** The text of token ids, special tokens included. */
  public String decodeAll(int[] ids) {
    return tokenizer.decode(Arrays.stream(ids).asLongStream().toArray(), false);
  }

  /** One more than the largest id. */
  public int vocabularySize() {
    return vocabulary.size();
  }

  /** The ids that it knows. */
  public Vocabulary vocabulary() {
    return vocabulary;
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
