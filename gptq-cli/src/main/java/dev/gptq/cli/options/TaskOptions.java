package dev.gptq.cli.options;

import com.google.common.collect.ImmutableList;
import dev.gptq.cli.console.Console;
import dev.gptq.cli.console.UsageException;
import dev.gptq.cli.hub.HubTasks;
import dev.gptq.models.tasks.Task;
import dev.gptq.models.tasks.TaskCatalog;
import dev.gptq.models.tasks.TaskCatalog.Suite;
import dev.gptq.models.tasks.TaskData;
import java.io.IOException;
import java.nio.file.Path;
import java.util.OptionalInt;
import picocli.CommandLine.Option;

/** The options that say which questions a model is asked. */
public final class TaskOptions {
  @Option(
      names = "--tasks",
      paramLabel = "NAMES",
      description =
          "measure accuracy in these tasks, with commas between them: lambada_openai,"
              + " lambada_standard, piqa, arc_easy, arc_challenge, hellaswag, winogrande,"
              + " storycloze_2016, storycloze_2018, gsm8k, mmlu, mmlu_stem, mmlu_SUBJECT, …")
  private String names;

  @Option(
      names = "--task-data",
      paramLabel = "DIR",
      description =
          "take the questions from DIR/TASK/SPLIT.jsonl (or .parquet, .json, .csv) and not from the"
              + " hub")
  private Path folder;

  @Option(
      names = "--shots",
      paramLabel = "N",
      description = "examples before each question (default: 5 for gsm8k, 0 for all others)")
  private Integer shots;

  @Option(
      names = "--limit",
      paramLabel = "N",
      description = "the first N questions of each task only (default: all)")
  private Integer limit;

  /** Whether tasks were named. */
  public boolean given() {
    if (names == null && (folder != null || shots != null || limit != null)) {
      throw new UsageException("--task-data, --shots and --limit need --tasks");
    }
    return names != null;
  }

  /** The tasks. */
  public ImmutableList<Suite> suites() throws IOException {
    ImmutableList<Suite> suites = TaskCatalog.builtIn().suites(names);
    if (suites.isEmpty()) {
      throw new UsageException("--tasks names no task");
    }
    return suites;
  }

  /** Examples before each question of a task. */
  public int shots(Task task) {
    if (shots != null && shots < 0) {
      throw new UsageException("--shots must not be negative but is " + shots);
    }
    return task.shots(shots == null ? OptionalInt.empty() : OptionalInt.of(shots));
  }

  /** Questions of a task at most. */
  public OptionalInt limit() {
    if (limit != null && limit < 1) {
      throw new UsageException("--limit must be at least 1 but is " + limit);
    }
    return limit == null ? OptionalInt.empty() : OptionalInt.of(limit);
  }

  /** Where the questions come from. */
  public TaskData data(Console console) throws IOException {
    return folder != null ? TaskData.folder(folder) : HubTasks.data(console);
  }
}
