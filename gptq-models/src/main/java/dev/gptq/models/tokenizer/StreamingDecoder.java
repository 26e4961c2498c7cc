package dev.gptq.models.tokenizer;

import java.util.Arrays;

/**
 * Text of ids that come one by one. A character may take several tokens, and the text of a token
 * may depend on the one before it; so what is new is the difference between the decoded window with
 * and without the last ids, and it is held back while it ends in an incomplete character.
 */
public final class StreamingDecoder {
  private static final char REPLACEMENT = '\ufffd';

  private final Tokenizer tokenizer;
  private int[] ids = new int[64];
  private int count;
  private int context;
  private int emitted;

  StreamingDecoder(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** The text that the id completes, often empty in the middle of a character. */
  public String add(int id) {
    if (count == ids.length) {
      ids = Arrays.copyOf(ids, 2 * count);
    }
    ids[count++] = id;
    String known = tokenizer.decode(Arrays.copyOfRange(ids, context, emitted));
    String text = tokenizer.decode(Arrays.copyOfRange(ids, context, count));
    if (text.length() <= known.length() || text.charAt(text.length() - 1) == REPLACEMENT) {
      return "";
    }
    context = emitted;
    emitted = count;
    return text.substring(known.length());
  }

  /** The rest, an incomplete character included. */
  public String finish() {
    String known = tokenizer.decode(Arrays.copyOfRange(ids, context, emitted));
    String text = tokenizer.decode(Arrays.copyOfRange(ids, context, count));
    context = count;
    emitted = count;
    return text.length() > known.length() ? text.substring(known.length()) : "";
  }
}
