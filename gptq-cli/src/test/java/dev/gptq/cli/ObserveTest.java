package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

final class ObserveTest {
  @TempDir private Path folder;

  private Cli.Outcome quantize(Path output, String... more) {
    List<Object> command =
        new ArrayList<>(
            List.of(
                "quantize",
                "--model",
                Cli.TINY,
                "--calibration",
                Cli.CALIBRATION,
                "--samples",
                "2",
                "--seq-len",
                "64",
                "--output",
                output));
    command.addAll(List.of(more));
    return Cli.run(command.toArray());
  }

  @Test
  void theResultIsReadEverywhere() throws IOException {
    Path output = folder.resolve("observed");
    Cli.Outcome done =
        quantize(
            output,
            "--observe",
            "2",
            "--log-format",
            "classic",
            "--report",
            folder.resolve("page").toString(),
            "--json");
    assertThat(done.status()).as(done.err()).isZero();
    assertThat(Files.readString(folder.resolve("page/index.html")))
        .contains("2 modules with the largest relative errors", "sweeps over codes", "damping");
    JsonNode json = done.json();
    assertThat(json.required("modules_tried_again").asInt()).isBetween(2, 6);
    assertThat(json.required("modules_improved").asInt()).isBetween(2, 6);
    assertThat(json.required("repropagated").asBoolean()).isFalse();
    assertThat(json.required("total_error").asDouble())
        .isLessThan(json.required("total_error_before").asDouble());
    JsonNode config = JsonMapper.shared().readTree(output.resolve("config.json"));
    assertThat(config.required("quantization_config").required("config_groups").size())
        .isGreaterThan(1);

    Cli.Outcome measured =
        Cli.run(
            "eval",
            "--model",
            output,
            "--text",
            Cli.EVALUATION,
            "--seq-len",
            "64",
            "--windows",
            "1",
            "--json");
    assertThat(measured.status()).as(measured.err()).isZero();
    assertThat(measured.json().required("perplexity").asDouble()).isBetween(1.0, 500.0);
    Path converted = folder.resolve("converted");
    assertThat(
            Cli.run("convert", "--model", output, "--output", converted, "--format", "gptq_v2")
                .status())
        .isZero();
    Cli.Outcome inspected = Cli.run("inspect", converted);
    assertThat(inspected.out()).contains("8 bits", "4 bits", "checks passed");

    assertThat(Files.readString(folder.resolve("page/index.html")))
        .contains("Settings", "Tried again", "scheme", "backend", "uPlot", "self_attn.q_proj")
        .contains("gptq quantize --model", " --observe 2 ", "in 16 bits")
        .doesNotContain("src=", "href=");

    List<String> classic = Files.readAllLines(output.resolve("quantization-log.txt"));
    assertThat(classic.getFirst()).isEqualTo("Quantizing self_attn.k_proj in layer 1/6...");
    assertThat(classic.get(1)).matches("time \\d+\\.\\d\\d, error \\d.*");
    assertThat(classic).anyMatch(line -> line.matches("Optimizing [a-z_.]+ \\d \\.\\."));
    assertThat(Files.readAllLines(output.resolve("observation-log.jsonl")))
        .anyMatch(line -> line.contains("\"kept\":true"));
  }

  @Test
  void aBudgetIsSpent() throws IOException {
    Path output = folder.resolve("budget");
    Cli.Outcome done =
        quantize(
            output,
            "--bits",
            "3",
            "--target-bpw",
            "4",
            "--include",
            "layers.[01]",
            "--target",
            "residual",
            "--json");
    assertThat(done.status()).as(done.err()).isZero();
    assertThat(done.err()).contains("gradients say where errors cost most");
    assertThat(Files.readAllLines(output.resolve("budget-log.jsonl")))
        .anyMatch(line -> line.contains("\"bits\":4") && line.contains("\"kept\":true"));
    assertThat(done.json().required("bits_per_weight").asDouble()).isBetween(3.85, 4.0);
  }

  @ParameterizedTest
  @CsvSource({
    "2, '--observe 0', at least 1",
    "2, '--observe-by benefit', add --observe",
    "2, '--observe 3 --target-bpw 5', only one",
    "2, '--observe 3 --method rtn', no errors to observe",
    "2, '--observe 3 --quality best', --target plain",
    "2, '--observe 3 --curvature kl', leave out --curvature kl",
    "65, '--target-bpw 4', higher target",
  })
  void whatCannotBeDoneIsSaidAtTheStart(int status, String options, String message) {
    Cli.Outcome refused = quantize(folder.resolve("refused"), options.split(" "));
    assertThat(refused.status()).isEqualTo(status);
    assertThat(refused.err()).contains(message);
    assertThat(folder.resolve("refused")).doesNotExist();
  }

  /** Ends at once, with the reason and with what can be done instead. */
  @Test
  void aGridThatTheFormatCannotHoldIsRefused() {
    Cli.Outcome refused = quantize(folder.resolve("refused"), "--scheme", "half-offset");
    assertThat(refused.status()).isEqualTo(2);
    assertThat(refused.err())
        .contains("integer zero points", "compare --scheme half-offset", "gptq study");
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void aDryRunTellsTheRoomOfTheHessians() {
    Cli.Outcome planned = quantize(folder.resolve("planned"), "--observe", "2", "--dry-run");
    assertThat(planned.out()).contains("Hessians, at most ");
  }
}
