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
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.exc.JacksonIOException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.MappingIterator;
import tools.jackson.databind.json.JsonMapper;

/**
 * Documents of a text file: plain text is one document; {@code .jsonl}, {@code .ndjson} and {@code
 * .json} hold an object for each, with the text under {@code text} or the turns of a conversation
 * under {@code messages}; those whose text is null are left out. A byte order mark is no text. Each
 * may be compressed ({@code .gz}).
 */
public final class CalibrationText {
  private static final ImmutableList<String> OBJECTS =
      ImmutableList.of(".jsonl", ".ndjson", ".json");

  private static final String BYTE_ORDER_MARK = "\ufeff";

  private CalibrationText() {}

  /**
   * All documents of a file.
   *
   * @param conversations makes text of them
   * @param notes hears how many documents were left out
   */
  public static ImmutableList<String> read(
      Path file, Conversations conversations, Consumer<String> notes) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new BadInputException(file + " does not exist or is no file; give a text file");
    }
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    boolean compressed = name.endsWith(".gz");
    String plain = compressed ? name.substring(0, name.length() - 3) : name;
    requireSupported(file, plain);
    requireNoTable(file, plain);
    try (InputStream raw = Files.newInputStream(file);
        InputStream input = compressed ? new GZIPInputStream(raw, 1 << 16) : raw) {
      return OBJECTS.stream().anyMatch(plain::endsWith)
          ? objects(file, input, conversations, notes)
          : ImmutableList.of(text(file, input));
    } catch (ZipException | EOFException e) {
      throw new BadInputException(
          "%s is no valid gzip file (%s); compress it again".formatted(file, e.getMessage()), e);
    }
  }

  private static void requireSupported(Path file, String name) {
    if (name.endsWith(".parquet") || name.endsWith(".arrow") || name.endsWith(".zst")) {
      throw new BadInputException(
          file
              + ": parquet, arrow and zstd are not supported; convert the file to .jsonl with an"
              + " object {\"text\": …} on each line, for instance with DuckDB: COPY (SELECT text"
              + " FROM 'FILE.parquet') TO 'FILE.jsonl' (FORMAT JSON)");
    }
  }

  private static void requireNoTable(Path file, String name) {
    if (name.endsWith(".csv") || name.endsWith(".tsv")) {
      throw new BadInputException(
          file
              + ": a table would be taken as text with its commas and quotes; convert the column"
              + " with the text to .jsonl with an object {\"text\": …} on each line, for instance"
              + " with DuckDB: COPY (SELECT column AS text FROM 'FILE.csv') TO 'FILE.jsonl' (FORMAT"
              + " JSON)");
    }
  }

  private static String text(Path file, InputStream input) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(ByteStreams.toByteArray(input));
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      return text.startsWith(BYTE_ORDER_MARK) ? text.substring(1) : text;
    } catch (CharacterCodingException e) {
      throw new BadInputException(
          "%s is not UTF-8 text (byte %d); convert it first".formatted(file, bytes.position()), e);
    }
  }

  private static ImmutableList<String> objects(
      Path file, InputStream input, Conversations conversations, Consumer<String> notes)
      throws IOException {
    ImmutableList.Builder<String> documents = ImmutableList.builder();
    long count = 0;
    try (MappingIterator<JsonNode> objects =
        JsonMapper.shared().readerFor(JsonNode.class).readValues(input)) {
      while (objects.hasNext()) {
        JsonNode object = objects.next();
        count++;
        if (!isBlank(object)) {
          documents.add(document(file, count, object, conversations));
        }
      }
    } catch (JacksonIOException e) {
      throw e.getCause();
    } catch (JacksonException e) {
      throw new BadInputException(
          "%s: document %d is not valid JSON (%s)"
              .formatted(file, count + 1, e.getOriginalMessage()),
          e);
    }
    ImmutableList<String> found = documents.build();
    if (found.isEmpty()) {
      throw new BadInputException(
          count == 0
              ? file + " holds no documents"
              : "%s: 'text' is null in all of its %d documents".formatted(file, count));
    }
    if (found.size() < count) {
      notes.accept(
          "%s: 'text' is null in %d of %d documents, which are left out"
              .formatted(file, count - found.size(), count));
    }
    return found;
  }

  /** Sets such as C4 have rows whose text is null; they say nothing and are left out. */
  private static boolean isBlank(JsonNode object) {
    return object.path("text").isNull() && !object.has("messages");
  }

  private static String document(
      Path file, long number, JsonNode object, Conversations conversations) {
    if (object.path("text").isString()) {
      return object.path("text").stringValue();
    }
    if (object.path("messages").isArray()) {
      return conversations.text(object.path("messages"));
    }
    throw new BadInputException(
        "%s: document %d has neither a string 'text' nor a list 'messages'; rename its field"
            .formatted(file, number));
  }
}
