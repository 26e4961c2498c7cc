package dev.gptq.cli.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Iterables;
import com.google.common.io.Resources;
import dev.gptq.cli.console.Console;
import dev.gptq.hub.FakeHub;
import dev.gptq.hub.HubException;
import dev.gptq.hub.HubSettings;
import dev.gptq.models.tasks.Task;
import dev.gptq.models.tasks.TaskCatalog;
import dev.gptq.models.tasks.TaskData;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

/** Questions from a server that behaves like the hub. */
final class HubTasksTest {
  @TempDir private Path home;
  private final StringWriter said = new StringWriter();

  private TaskData data(FakeHub hub, Map<String, String> more) throws IOException {
    CommandLine command = new CommandLine(CommandSpec.create());
    command.setErr(new PrintWriter(said, true));
    Console console = new Console(command.getCommandSpec(), Console.ProgressMode.AUTO);
    return HubTasks.data(
        console,
        HubSettings.of(
            ImmutableMap.<String, String>builder()
                .put("HF_ENDPOINT", hub.endpoint().toString())
                .put("HF_HOME", home.resolve("hf").toString())
                .put("NO_PROXY", "127.0.0.1")
                .putAll(more)
                .buildOrThrow(),
            home));
  }

  private static Task task(String name) throws IOException {
    return Iterables.getOnlyElement(
        Iterables.getOnlyElement(TaskCatalog.builtIn().suites(name)).tasks());
  }

  @Test
  void questionsComeFromTheConvertedBranchOnceAndThenFromTheCache() throws IOException {
    Task piqa = task("piqa");
    TaskData offline;
    try (FakeHub hub = new FakeHub()) {
      hub.dataset(piqa.dataset())
          .branch("refs/convert/parquet")
          .file("README.md", "no questions")
          .large(
              piqa.config() + "/train/0000.parquet",
              Resources.toByteArray(Resources.getResource(HubTasksTest.class, "piqa.parquet")))
          .large(
              piqa.config() + "/validation/0000.parquet",
              Resources.toByteArray(Resources.getResource(HubTasksTest.class, "piqa.parquet")));
      assertThat(piqa.questions(data(hub, Map.of()), 1, OptionalInt.empty()))
          .as("with an example from another split")
          .hasSize(2)
          .allSatisfy(question -> assertThat(question.toString()).contains("Question: To "));
      assertThat(said.toString()).contains("loading datasets/" + piqa.dataset());
      assertThatThrownBy(
              () -> task("arc_easy").questions(data(hub, Map.of()), 0, OptionalInt.of(1)))
          .isInstanceOf(HubException.class)
          .hasMessageContaining("allenai/ai2_arc");
      offline = data(hub, Map.of("HF_HUB_OFFLINE", "1"));
    }
    assertThat(piqa.questions(offline, 0, OptionalInt.of(1))).hasSize(1);
  }
}
