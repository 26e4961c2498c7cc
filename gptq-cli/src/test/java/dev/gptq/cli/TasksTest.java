package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** Questions on the command line. */
final class TasksTest {
  @TempDir private Path folder;

  private static Cli.Outcome tasks(Object... more) {
    Object[] all = new Object[5 + more.length];
    System.arraycopy(
        new Object[] {
          "eval", "--model", Cli.TINY, "--task-data", Cli.ROOT.resolve("examples/tasks")
        },
        0,
        all,
        0,
        5);
    System.arraycopy(more, 0, all, 5, more.length);
    return Cli.run(all);
  }

  @Test
  void aModelBesideItselfRecoversAll() throws IOException {
    Cli.Outcome outcome =
        tasks(
            "--tasks",
            "piqa,lambada_openai",
            "--against",
            Cli.TINY,
            "--limit",
            "2",
            "--report",
            folder,
            "--json");
    assertThat(outcome.status()).as(outcome.err()).isZero();
    assertThat(Files.readString(folder.resolve("index.html")))
        .contains("<h1>tiny beside tiny in piqa, lambada_openai</h1>")
        .contains("<td>acc_norm</td>", "<td class=\"number\">100.0 %</td>", "recovery 100.0 %")
        .contains("an estimate", "gptq eval --model");
    JsonNode piqa = outcome.json().get("tasks").get(0);
    assertThat(piqa.get("task").stringValue()).isEqualTo("piqa");
    assertThat(piqa.get("questions").intValue()).isEqualTo(2);
    JsonNode words = outcome.json().get("tasks").get(1).get("metrics");
    assertThat(words.get("acc").get("difference").doubleValue()).isZero();
    assertThat(words.get("acc").get("recovery").doubleValue()).isEqualTo(1);
    assertThat(words.get("perplexity").get("value"))
        .isEqualTo(words.get("perplexity").get("base_value"));
  }

  @Test
  void contradictionsAreWrongUsage() {
    assertThat(tasks().err()).contains("--task-data, --shots and --limit need --tasks");
    Cli.Outcome both = tasks("--tasks", "piqa", "--text", Cli.EVALUATION);
    assertThat(both.status()).isEqualTo(2);
    assertThat(both.err()).contains("give a text with --text FILE, or tasks with --tasks NAMES");
    Cli.Outcome blocks = tasks("--tasks", "piqa", "--load", "blocks");
    assertThat(blocks.status()).isEqualTo(2);
    assertThat(blocks.err()).contains("Leave it out", "more memory");
    assertThat(tasks("--tasks", "piqa", "--limit", "0").status()).isEqualTo(2);
    assertThat(tasks("--tasks", "nope").status()).isEqualTo(65);
  }
}
