package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.cli.console.ExitStatus;
import dev.gptq.hub.FakeHub;
import dev.gptq.hub.FakeRepo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The distribution beside a server that behaves like the hub. */
@DisabledOnOs(value = OS.WINDOWS, disabledReason = "the launcher is a shell script")
final class HubIT {
  @TempDir private Path temp;

  private final Map<String, String> environment = new HashMap<>();
  private Path home;
  private FakeHub hub;

  @BeforeEach
  void start() throws IOException {
    home = temp.resolve("gptq");
    Distribution.copyTo(home);
    hub = new FakeHub();
    FakeRepo tiny = hub.model("org/tiny");
    try (Stream<Path> files = Files.list(Cli.TINY)) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        byte[] bytes = Files.readAllBytes(file);
        if (name.endsWith(".safetensors")) {
          tiny.large(name, bytes);
        } else {
          tiny.file(name, bytes);
        }
      }
    }
    hub.dataset("org/texts").file("data/novel.txt", Files.readString(Cli.CALIBRATION));
    environment.put("HF_ENDPOINT", hub.endpoint().toString());
    environment.put("HF_HOME", temp.resolve("hf").toString());
    for (String name : List.of("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "NO_PROXY")) {
      environment.put(name, "");
    }
    environment.put("NO_PROXY", "127.0.0.1");
    environment.put("no_proxy", "127.0.0.1");
  }

  @AfterEach
  void stop() {
    hub.close();
  }

  private Shell.Result gptq(String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("./gptq"));
    command.addAll(List.of(arguments));
    return Shell.run(home, environment, command);
  }

  @Test
  void aNameBecomesAModelThatIsUploaded() throws Exception {
    Shell.Result quantized =
        gptq(
            "quantize",
            "--model",
            "org/tiny",
            "--output",
            "w4",
            "--calibration",
            "hf:org/texts/data/novel.txt",
            "--samples",
            "2",
            "--seq-len",
            "32",
            "--include",
            "model.layers.0.self_attn.*");
    assertThat(quantized.status()).as(quantized.err()).isZero();
    assertThat(quantized.err())
        .contains("there is no folder org/tiny; looking for it on the hub")
        .contains("loading org/tiny: ");

    environment.put("HF_TOKEN", FakeHub.TOKEN);
    Shell.Result planned = gptq("upload", "w4", "me/tiny-w4", "--dry-run");
    assertThat(planned.status()).as(planned.err()).isZero();
    assertThat(planned.out()).contains("model.safetensors", "would be created, public");
    Shell.Result sent = gptq("upload", "w4", "me/tiny-w4");
    assertThat(sent.status()).as(sent.err()).isZero();
    assertThat(sent.out()).startsWith(hub.endpoint() + "/me/tiny-w4/commit/");
    assertThat(hub.files("me/tiny-w4"))
        .contains("config.json", "model.safetensors", "tokenizer.json");

    Shell.Result inspected = gptq("inspect", "hf:me/tiny-w4");
    assertThat(inspected.status()).as(inspected.err()).isZero();
    assertThat(inspected.out()).contains("quantized: 4 bits", "checks passed");
  }

  @Test
  void downloadsOnceAndThenWorksOffline() throws Exception {
    Shell.Result planned = gptq("download", "org/tiny", "--dry-run");
    assertThat(planned.status()).as(planned.err()).isZero();
    assertThat(planned.out()).containsPattern("model.safetensors +11.5 +no");
    Shell.Result loaded = gptq("download", "org/tiny");
    assertThat(loaded.status()).as(loaded.err()).isZero();
    assertThat(Path.of(loaded.out().strip()))
        .startsWith(temp.resolve("hf/hub/models--org--tiny/snapshots"))
        .isDirectory();
    hub.close();
    environment.put("HF_HUB_OFFLINE", "1");
    Shell.Result again = gptq("download", "org/tiny", "--json");
    assertThat(again.status()).as(again.err()).isZero();
    JsonNode document = JsonMapper.shared().readTree(again.out());
    assertThat(document.get("folder").asString()).isEqualTo(loaded.out().strip());
    assertThat(document.get("files").asInt()).isEqualTo(5);
  }

  @Test
  void whatIsNotThereIsExplainedByOneLine() throws Exception {
    Shell.Result missing = gptq("inspect", "org/nothing");
    assertThat(missing.status()).isEqualTo(ExitStatus.BAD_INPUT);
    assertThat(missing.err())
        .contains(
            "there is no folder org/nothing, and org/nothing does not exist or is private",
            "HF_TOKEN")
        .doesNotContain("\tat ");
    Shell.Result unnamed =
        gptq("eval", "--model", "examples/tiny", "--text", "hf:org/texts", "--windows", "1");
    assertThat(unnamed.status()).isEqualTo(ExitStatus.USAGE);
    assertThat(unnamed.err())
        .contains("taking the folder examples/tiny; hf:examples/tiny is the model on the hub")
        .contains("data/novel.txt");
    assertThat(gptq("inspect", "hf:org/../x").status()).isEqualTo(ExitStatus.BAD_INPUT);
    assertThat(gptq("inspect", "hf:datasets/org/texts").status()).isEqualTo(ExitStatus.USAGE);
    assertThat(gptq("download", "datasets/org/texts").err()).contains("--include");
    environment.put("HF_HUB_OFFLINE", "1");
    assertThat(gptq("download", "org/tiny").status()).isEqualTo(ExitStatus.IO_ERROR);
  }
}
