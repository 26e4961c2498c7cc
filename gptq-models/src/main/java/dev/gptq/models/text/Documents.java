package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import com.google.common.io.ByteStreams;
import dev.gptq.formats.BadInputException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.zip.ZipException;
import tools.jackson.databind.JsonNode;

/**
 * Documents of text files: plain text is one document; of a file with rows (see {@link RowFormat})
 * each row is one, with a text or the turns of a conversation in a column; those where it is null
 * are left out. A byte order mark is no text. Each file may be compressed (see {@link
 * Compression}).
 */
public final class Documents {
  private static final ImmutableList<String> OPTIONAL =
      ImmutableList.of(".parquet", ".arrow", ".zst", ".xz", ".bz2", ".zip");
  private static final String BYTE_ORDER_MARK = "\ufeff";

  private final ImmutableList<String> columns;
  private final Conversations conversations;
  private final Consumer<String> notes;

  /**
   * Reads files by rules.
   *
   * @param conversations makes text of them
   * @param notes hears how many documents were left out
   */
  public Documents(TextRules rules, Conversations conversations, Consumer<String> notes) {
    this.columns = rules.columns();
    this.conversations = conversations;
    this.notes = notes;
  }

  /**
   * All rows of a file that has rows, with the columns of interest at least.
   *
   * @throws BadInputException if it is plain text, damaged, or of a kind that nothing here reads
   */
  public static ImmutableList<JsonNode> rows(Path path, ImmutableList<String> columns)
      throws IOException {
    TextFile file = TextFile.of(path);
    requireSupported(file);
    RowFormat format =
        TextKinds.rows(file.name())
            .orElseThrow(() ->
                new BadInputException(
                    file + " has no rows; give a .jsonl, .json, .csv, .tsv or .parquet file"));
    ImmutableList.Builder<JsonNode> all = ImmutableList.builder();
    try (RowFormat.Rows rows = format.open(file, columns)) {
      for (Optional<JsonNode> row = rows.next(); row.isPresent(); row = rows.next()) {
        all.add(row.get());
      }
    } catch (ZipException | EOFException e) {
      throw damaged(file, e);
    }
    return all.build();
  }

  /** All documents of a file. */
  public ImmutableList<String> read(Path path) throws IOException {
    TextFile file = TextFile.of(path);
    requireSupported(file);
    try {
      Optional<RowFormat> rows = TextKinds.rows(file.name());
      return rows.isPresent() ? rows(file, rows.get()) : ImmutableList.of(text(file));
    } catch (ZipException | EOFException e) {
      throw damaged(file, e);
    }
  }

  private static void requireSupported(TextFile file) {
    OPTIONAL.stream()
        .filter(file.name()::endsWith)
        .filter(_ -> TextKinds.rows(file.name()).isEmpty())
        .findFirst()
        .ifPresent(ending -> {
          throw unsupported(file, ending);
        });
  }

  private static BadInputException unsupported(TextFile file, String ending) {
    return new BadInputException(
        file
            + ": "
            + ending
            + " files are not supported"
            + (ending.equals(".parquet") || ending.equals(".zst")
                ? " without the jar of gptq-data on the class path; add it, or"
                : ";")
            + " convert the file to .jsonl with an object {\"text\": …} on each line, for instance"
            + " with DuckDB: COPY (SELECT text FROM 'FILE') TO 'FILE.jsonl' (FORMAT JSON)");
  }

  private static BadInputException damaged(TextFile file, IOException e) {
    return new BadInputException(
        "%s is no valid %s file (%s); compress it again"
            .formatted(
                file, file.compression().map(Compression::id).orElse("text"), e.getMessage()),
        e);
  }

  private static String text(TextFile file) throws IOException {
    ByteBuffer bytes;
    try (InputStream input = file.open()) {
      bytes = ByteBuffer.wrap(ByteStreams.toByteArray(input));
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      return text.startsWith(BYTE_ORDER_MARK) ? text.substring(1) : text;
    } catch (CharacterCodingException e) {
      throw new BadInputException(
          "%s is not UTF-8 text (byte %d); convert it first".formatted(file, bytes.position()), e);
    }
  }

  private ImmutableList<String> rows(TextFile file, RowFormat format) throws IOException {
    ImmutableList.Builder<String> documents = ImmutableList.builder();
    long count = 0;
    try (RowFormat.Rows rows = format.open(file, columns)) {
      for (Optional<JsonNode> row = rows.next(); row.isPresent(); row = rows.next()) {
        count++;
        document(file, count, row.get()).ifPresent(documents::add);
      }
    }
    ImmutableList<String> found = documents.build();
    if (found.isEmpty()) {
      throw new BadInputException(
          count == 0
              ? file + " holds no documents"
              : "%s: '%s' is null in all of its %d documents"
                  .formatted(file, columns.getFirst(), count));
    }
    if (found.size() < count) {
      notes.accept(
          "%s: '%s' is null in %d of %d documents, which are left out"
              .formatted(file, columns.getFirst(), count - found.size(), count));
    }
    return found;
  }

  /** Empty for the rows of sets such as C4 whose text is null: they say nothing. */
  private Optional<String> document(TextFile file, long number, JsonNode row) {
    boolean named = false;
    for (String column : columns) {
      JsonNode value = row.path(column);
      if (value.isString()) {
        return Optional.of(value.stringValue());
      }
      if (value.isArray()) {
        return Optional.of(conversations.text(value));
      }
      named |= value.isNull();
    }
    if (named) {
      return Optional.empty();
    }
    throw new BadInputException(
        "%s: document %d has neither a text nor a conversation under '%s'; name the field that has"
                .formatted(file, number, String.join("' or '", columns))
            + " one by --text-column");
  }
}
