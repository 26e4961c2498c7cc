package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.core.exc.JacksonIOException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.MappingIterator;
import tools.jackson.databind.ObjectReader;
import tools.jackson.databind.json.JsonMapper;

/** JSON objects one after the other, each on a line or not, or one list of them. */
public final class JsonRows implements RowFormat {
  @Override
  public ImmutableList<String> endings() {
    return ImmutableList.of(".jsonl", ".ndjson", ".json");
  }

  @Override
  public Rows open(TextFile file, ImmutableList<String> columns) throws IOException {
    return new Parsed(file, JsonMapper.shared().readerFor(JsonNode.class), "JSON");
  }

  /** Rows that Jackson finds in a file. */
  static final class Parsed implements Rows {
    private final TextFile file;
    private final String language;
    private final InputStream input;
    private final MappingIterator<JsonNode> rows;
    private long count;

    Parsed(TextFile file, ObjectReader reader, String language) throws IOException {
      this.file = file;
      this.language = language;
      input = file.open();
      try {
        rows = reader.readValues(input);
      } catch (JacksonException e) {
        input.close();
        throw wrong(e);
      }
    }

    @Override
    public Optional<JsonNode> next() throws IOException {
      count++;
      try {
        return rows.hasNext() ? Optional.of(rows.next()) : Optional.empty();
      } catch (JacksonException e) {
        throw wrong(e);
      }
    }

    private BadInputException wrong(JacksonException e) throws IOException {
      if (e instanceof JacksonIOException io) {
        throw io.getCause();
      }
      return new BadInputException(
          "%s: document %d is not valid %s (%s)"
              .formatted(file, Math.max(1, count), language, e.getOriginalMessage()),
          e);
    }

    @Override
    public void close() throws IOException {
      input.close();
    }
  }
}
