package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.dataformat.csv.CsvMapper;
import tools.jackson.dataformat.csv.CsvReadFeature;
import tools.jackson.dataformat.csv.CsvSchema;

/** Tables whose first line names the columns, with commas or tabs between the fields. */
public final class TableRows implements RowFormat {
  private static final CsvMapper MAPPER =
      CsvMapper.builder().enable(CsvReadFeature.FAIL_ON_MISSING_COLUMNS).build();

  @Override
  public ImmutableList<String> endings() {
    return ImmutableList.of(".csv", ".tsv");
  }

  @Override
  public Rows open(TextFile file, ImmutableList<String> columns) throws IOException {
    char separator = file.name().endsWith(".tsv") ? '\t' : ',';
    CsvSchema schema = CsvSchema.emptySchema().withHeader().withColumnSeparator(separator);
    return new Checked(
        file,
        new JsonRows.Parsed(file, MAPPER.readerFor(JsonNode.class).with(schema), "CSV"),
        columns);
  }

  /** Rows of a table that must have one of some columns. */
  private record Checked(TextFile file, Rows rows, ImmutableList<String> columns) implements Rows {
    @Override
    public Optional<JsonNode> next() throws IOException {
      Optional<JsonNode> row = rows.next();
      if (row.isPresent() && columns.stream().noneMatch(row.get()::has)) {
        throw missing(file, columns, ImmutableList.copyOf(row.get().propertyNames()));
      }
      return row;
    }

    @Override
    public void close() throws IOException {
      rows.close();
    }
  }

  /** What to say of a table that has none of the columns looked for. */
  public static BadInputException missing(
      TextFile file, ImmutableList<String> columns, ImmutableList<String> found) {
    return new BadInputException(
        "%s has no column '%s' but %s; name the one with the text by --text-column"
            .formatted(
                file, String.join("' or '", columns), "'" + String.join("', '", found) + "'"));
  }
}
