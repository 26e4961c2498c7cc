package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * How files become documents, and documents tokens.
 *
 * @param bos whether windows begin with a BOS token
 * @param column where rows have their text: a string, or the turns of a conversation; {@code text}
 *     or {@code messages} if empty
 */
public record TextRules(Bos bos, Optional<String> column) {
  private static final ImmutableList<String> USUAL = ImmutableList.of("text", "messages");

  /** As most data sets and tokenizers do. */
  public static final TextRules USUALLY = new TextRules(Bos.AUTO, Optional.empty());

  /** The same with or without BOS tokens. */
  public TextRules withBos(Bos other) {
    return new TextRules(other, column);
  }

  /** Where a row may have its text; the first that it has counts. */
  ImmutableList<String> columns() {
    return column.map(ImmutableList::of).orElse(USUAL);
  }
}
