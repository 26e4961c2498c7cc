package dev.gptq.data;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.text.RowFormat;
import dev.gptq.models.text.TableRows;
import dev.gptq.models.text.TextFile;
import dev.hardwood.InputFile;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import dev.hardwood.row.PqList;
import dev.hardwood.row.PqStruct;
import dev.hardwood.schema.ColumnProjection;
import dev.hardwood.schema.SchemaNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** Parquet files, of which only the columns of interest are read. */
public final class ParquetRows implements RowFormat {
  @Override
  public ImmutableList<String> endings() {
    return ImmutableList.of(".parquet");
  }

  @Override
  public Rows open(TextFile file, ImmutableList<String> columns) throws IOException {
    if (file.compression().isPresent()) {
      throw new BadInputException(
          file + ": Parquet files are compressed within; decompress this one");
    }
    ParquetFileReader reader = step(file, () -> ParquetFileReader.open(InputFile.of(file.path())));
    try {
      ImmutableList<String> found = step(file, () -> columns(reader));
      ImmutableList<String> present =
          columns.stream().filter(found::contains).collect(ImmutableList.toImmutableList());
      if (present.isEmpty()) {
        throw TableRows.missing(file, columns, found);
      }
      ColumnProjection projection = ColumnProjection.columns(present.toArray(String[]::new));
      RowReader rows = step(file, () -> reader.buildRowReader().projection(projection).build());
      return new Open(file, reader, rows, present);
    } catch (RuntimeException e) {
      reader.close();
      throw e;
    }
  }

  private static ImmutableList<String> columns(ParquetFileReader reader) {
    return reader.getFileSchema().getRootNode().children().stream()
        .map(SchemaNode::name)
        .collect(ImmutableList.toImmutableList());
  }

  /** Something that the library does with a file. */
  private interface Step<T> {
    T run() throws IOException;
  }

  /** The library tells damage by exceptions of many kinds. */
  private static <T> T step(TextFile file, Step<T> step) {
    try {
      return step.run();
    } catch (IOException | RuntimeException e) {
      throw new BadInputException(
          "%s is no valid Parquet file (%s)".formatted(file, e.getMessage()), e);
    }
  }

  /** The rows of an open file. */
  private record Open(
      TextFile file, ParquetFileReader reader, RowReader rows, ImmutableList<String> columns)
      implements Rows {
    @Override
    public Optional<JsonNode> next() {
      return step(file, () -> rows.hasNext() ? Optional.of(row()) : Optional.empty());
    }

    private JsonNode row() {
      rows.next();
      ObjectNode row = JsonNodeFactory.instance.objectNode();
      for (String column : columns) {
        row.set(column, json(rows.getValue(column)));
      }
      return row;
    }

    private static JsonNode json(Object value) {
      return switch (value) {
        case null -> JsonNodeFactory.instance.nullNode();
        case String text -> JsonNodeFactory.instance.stringNode(text);
        case Integer number -> JsonNodeFactory.instance.numberNode(number);
        case Long number -> JsonNodeFactory.instance.numberNode(number);
        case Double number -> JsonNodeFactory.instance.numberNode(number);
        // Text of writers that do not say so.
        case byte[] bytes ->
            JsonNodeFactory.instance.stringNode(new String(bytes, StandardCharsets.UTF_8));
        case PqList list -> {
          ArrayNode array = JsonNodeFactory.instance.arrayNode();
          list.values().forEach(each -> array.add(json(each)));
          yield array;
        }
        case PqStruct struct -> {
          ObjectNode object = JsonNodeFactory.instance.objectNode();
          for (int i = 0; i < struct.getFieldCount(); i++) {
            String name = struct.getFieldName(i);
            object.set(name, json(struct.getValue(name)));
          }
          yield object;
        }
        default -> JsonNodeFactory.instance.pojoNode(value);
      };
    }

    @Override
    public void close() throws IOException {
      try (reader) {
        rows.close();
      }
    }
  }
}
