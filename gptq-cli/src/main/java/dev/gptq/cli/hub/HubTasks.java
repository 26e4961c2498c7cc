package dev.gptq.cli.hub;

import dev.gptq.cli.console.Console;
import dev.gptq.hub.HubSettings;
import dev.gptq.models.tasks.TaskData;
import java.io.IOException;

/** The questions of tasks on the hub, which has converted every public data set to Parquet. */
public final class HubTasks {
  private HubTasks() {}

  /** Those of the hub that the environment names. */
  public static TaskData data(Console console) throws IOException {
    return data(console, HubSettings.fromEnvironment());
  }

  static TaskData data(Console console, HubSettings settings) {
    return (task, split) ->
        TaskData.read(
            HubFiles.texts(
                "hf:datasets/%s@refs/convert/parquet/%s/%s/*.parquet"
                    .formatted(task.dataset(), task.config(), split),
                console,
                settings),
            task);
  }
}
