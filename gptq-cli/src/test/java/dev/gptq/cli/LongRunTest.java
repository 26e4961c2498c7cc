package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What a run without a terminal leaves for scripts and in a file. */
final class LongRunTest {
  @TempDir private Path folder;

  private Cli.Outcome quantize(Object method, Object... more) {
    Object[] all = {
      "quantize",
      "--model",
      Cli.TINY,
      "--output",
      folder.resolve("out"),
      "--method",
      method,
      "--log",
      folder.resolve("run.log"),
      more[0],
      more[1]
    };
    return Cli.run(all);
  }

  @Test
  void eventsAreJsonAndTheLogHasAll() throws IOException {
    Cli.Outcome outcome = quantize("rtn", "--progress", "json");
    assertThat(outcome.status()).as(outcome.err()).isZero();
    List<JsonNode> events =
        outcome.err().lines().map(line -> JsonMapper.shared().readTree(line)).toList();
    assertThat(events)
        .extracting(event -> event.get("event").stringValue())
        .contains("note", "working", "writing")
        .endsWith("done");
    assertThat(events.stream().filter(e -> e.get("event").stringValue().equals("block")))
        .hasSize(6);
    assertThat(events.stream().filter(e -> e.has("module")))
        .hasSize(42)
        .allMatch(e -> e.get("seconds").doubleValue() >= 0 && e.get("block").isNumber());
    List<String> log = Files.readAllLines(folder.resolve("run.log"));
    assertThat(log).allMatch(line -> line.matches("\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z .*"));
    assertThat(log.getFirst()).contains(" gptq quantize --model ");
    assertThat(log.stream().filter(line -> line.contains("block 6/6 mlp."))).hasSize(3);
    outcome.out().lines().forEach(line -> assertThat(log).anyMatch(kept -> kept.endsWith(line)));
  }

  @Test
  void failuresAreLoggedBehindWhatWasThere() throws IOException {
    Files.writeString(folder.resolve("run.log"), "before\n");
    Cli.Outcome outcome = quantize("gptq", "--calibration", folder.resolve("none.txt"));
    assertThat(outcome.status()).isEqualTo(65);
    List<String> log = Files.readAllLines(folder.resolve("run.log"));
    assertThat(log.getFirst()).isEqualTo("before");
    assertThat(log.getLast()).contains("failed with status 65: ", "none.txt");
  }

  @Test
  void aLineABlockNamesWhatIsSlowAndTheMemory() {
    Cli.Outcome outcome = quantize("rtn", "--progress", "auto");
    assertThat(outcome.err())
        .containsPattern(
            "quantizing: block 2/6, [\\d.]+ s left; the one before took [\\d.]+ s, slowest \\S+ with")
        .doesNotContain("\u001b");
    if (Files.isReadable(Path.of("/proc/self/status"))) {
      assertThat(outcome.err()).containsPattern("; memory [\\d.]+ GB, at most [\\d.]+");
    }
  }
}
