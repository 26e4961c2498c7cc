package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.text.Documents;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/** Where the rows of tasks come from. */
@FunctionalInterface
public interface TaskData {
  /**
   * The rows of a part of a task's data set, in their order.
   *
   * @param split such as {@code test}
   */
  ImmutableList<JsonNode> rows(Task task, String split) throws IOException;

  /**
   * Files in a folder, those of a task in one of its name: {@code piqa/validation.jsonl}, or {@code
   * gsm8k/test-00000-of-00001.parquet}. What stands before the first of {@code .-} is the split.
   */
  static TaskData folder(Path folder) {
    return (task, split) -> {
      Path own = folder.resolve(task.name());
      if (!Files.isDirectory(own)) {
        throw new BadInputException(
            "there is no folder %s; it holds the rows of %s, as in %s.jsonl or %s-00000.parquet"
                .formatted(own, task.name(), split, split));
      }
      List<Path> files;
      try (Stream<Path> all = Files.list(own)) {
        files =
            all.filter(file -> file.getFileName().toString().split("[.-]", 2)[0].equals(split))
                .sorted()
                .toList();
      }
      if (files.isEmpty()) {
        throw new BadInputException(
            "%s holds no file of the split '%s', such as %s.jsonl".formatted(own, split, split));
      }
      return read(files, task);
    };
  }

  /** The rows of files, one file after the other. */
  static ImmutableList<JsonNode> read(List<Path> files, Task task) throws IOException {
    ImmutableList.Builder<JsonNode> rows = ImmutableList.builder();
    for (Path file : files) {
      rows.addAll(Documents.rows(file, task.columns()));
    }
    return rows.build();
  }
}
