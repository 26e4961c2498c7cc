package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * How published perplexities turn a data set into windows. All of them make one text of it, let the
 * tokenizer add what it puts before every text (a BOS token for Llama and OPT, nothing for GPT-2),
 * and cut windows that do not overlap. Their figures differ because their texts do.
 *
 * <p>Rows of a data set are the lines of a plain text file, or the documents of a JSON file.
 */
public enum Protocol {
  /** WikiText-2: rows with their line ends, blank rows empty, joined by two line ends. */
  WIKITEXT2("wikitext2", "\n\n", Integer.MAX_VALUE, OptionalInt.empty()),
  /** Penn Treebank: sentences joined by two line ends. */
  PTB("ptb", "\n\n", Integer.MAX_VALUE, OptionalInt.empty()),
  /** Penn Treebank: sentences joined by a space. */
  PTB_NEW("ptb-new", " ", Integer.MAX_VALUE, OptionalInt.empty()),
  /** C4: the first 1100 documents joined by a space, of which the first 256 windows count. */
  C4_NEW("c4-new", " ", 1100, OptionalInt.of(256));

  private final String id;
  private final String separator;
  private final int mostRows;
  private final OptionalInt mostWindows;

  Protocol(String id, String separator, int mostRows, OptionalInt mostWindows) {
    this.id = id;
    this.separator = separator;
    this.mostRows = mostRows;
    this.mostWindows = mostWindows;
  }

  /** The name on the command line. */
  public String id() {
    return id;
  }

  /** The protocol of that name. */
  public static Protocol of(String id) {
    return Arrays.stream(values())
        .filter(protocol -> protocol.id.equals(id))
        .findFirst()
        .orElseThrow(() ->
            new BadInputException(
                "unknown protocol '%s'; known: %s"
                    .formatted(
                        id,
                        Arrays.stream(values())
                            .map(Protocol::id)
                            .collect(Collectors.joining(", ")))));
  }

  /** The windows of a data set. */
  public ImmutableList<int[]> windows(
      Path file, Tokenizer tokenizer, int length, Documents documents) throws IOException {
    int[] tokens = tokenizer.encodeWithSpecialTokens(text(documents.read(file)));
    return TokenWindows.consecutive(tokens, length, mostWindows);
  }

  /** The one text that is made of the documents of a file. */
  String text(List<String> documents) {
    return rows(documents).limit(mostRows).collect(Collectors.joining(separator));
  }

  private Stream<String> rows(List<String> documents) {
    return switch (this) {
      case WIKITEXT2 ->
          documents.stream().flatMap(String::lines).map(line -> line.isBlank() ? "" : line + "\n");
      case PTB, PTB_NEW ->
          documents.stream().flatMap(String::lines).map(String::strip).filter(s -> !s.isEmpty());
      case C4_NEW -> documents.stream();
    };
  }
}
