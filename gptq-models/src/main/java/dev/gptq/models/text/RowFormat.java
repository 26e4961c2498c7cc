package dev.gptq.models.text;

import com.google.common.collect.ImmutableList;
import java.io.Closeable;
import java.io.IOException;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** A kind of file that holds rows with names; found by {@link java.util.ServiceLoader}. */
public interface RowFormat {
  /** The ends of such files' names, such as {@code .jsonl}. */
  ImmutableList<String> endings();

  /**
   * Opens a file.
   *
   * @param columns those that are of interest; others need not be read
   * @throws dev.gptq.formats.BadInputException if it is no such file, or has none of the columns
   */
  Rows open(TextFile file, ImmutableList<String> columns) throws IOException;

  /** The rows of an open file. */
  interface Rows extends Closeable {
    /**
     * The next row as an object, empty after the last one.
     *
     * @throws dev.gptq.formats.BadInputException if the file is damaged
     */
    Optional<JsonNode> next() throws IOException;
  }
}
