package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

final class CommandsTest {
  @TempDir private Path folder;

  @Test
  void compareListsEveryCombination() {
    Cli.Outcome compared =
        Cli.run(
            "compare",
            "--model",
            Cli.TINY,
            "--text",
            Cli.EVALUATION,
            "--calibration",
            Cli.CALIBRATION,
            "--samples",
            "2",
            "--seq-len",
            "64",
            "--windows",
            "2",
            "--bits",
            "4,3",
            "--group-size",
            "128",
            "--json");
    assertThat(compared.status()).as(compared.err()).isZero();
    JsonNode json = compared.json();
    double full = json.required("full_precision").asDouble();
    assertThat(json.required("results")).hasSize(4);
    for (JsonNode row : json.required("results")) {
      assertThat(row.required("perplexity").asDouble()).isGreaterThan(0.8 * full);
      assertThat(row.required("sym").asBoolean()).isTrue();
    }
  }

  @Test
  void generatesTheSameTextFromTheSameSeed() {
    Object[] command = {
      "generate",
      "--model",
      Cli.TINY,
      "--prompt",
      "One day, a little dog",
      "--max-tokens",
      "12",
      "--temperature",
      "0.8",
      "--top-p",
      "0.9",
      "--seed",
      "7",
      "--json"
    };
    JsonNode once = Cli.run(command).json();
    JsonNode again = Cli.run(command).json();
    assertThat(once.required("text").asString())
        .isNotBlank()
        .isEqualTo(again.required("text").asString());
    assertThat(once.required("prompt_tokens").asInt()).isEqualTo(6);
    assertThat(once.required("generated_tokens").asInt()).isBetween(1, 12);
  }

  @Test
  void plainTextGoesToStandardOutputAlone() {
    Cli.Outcome generated =
        Cli.run(
            "generate",
            "--model",
            Cli.TINY,
            "--prompt",
            "In 1897 the city council",
            "--max-tokens",
            "4");
    assertThat(generated.status()).isZero();
    assertThat(generated.out()).startsWith("In 1897 the city council");
    assertThat(generated.err()).contains("backend", "/s");
  }

  @Test
  void logitsOfGivenTokens() {
    Path file = folder.resolve("logits.safetensors");
    Cli.Outcome written =
        Cli.run("logits", "--model", Cli.TINY, "--tokens", "761,2900,23", "--output", file);
    assertThat(written.status()).as(written.err()).isZero();
    assertThat(written.out()).contains("1 x 3 x 4096");
    assertThat(file).isNotEmptyFile();
    assertThat(Cli.run("logits", "--model", Cli.TINY, "--tokens", "4096", "--output", file))
        .satisfies(refused -> {
          assertThat(refused.status()).isEqualTo(65);
          assertThat(refused.err()).contains("4096");
        });
  }

  @Test
  void backendsAreListedWithReasons() {
    JsonNode list = Cli.run("backends", "--json").json().required("backends");
    assertThat(list)
        .anySatisfy(backend -> {
          assertThat(backend.required("name").asString()).isEqualTo("reference");
          assertThat(backend.required("available").asBoolean()).isTrue();
        });
    for (JsonNode backend : list) {
      if (!backend.required("available").asBoolean()) {
        assertThat(backend.required("reason").asString()).isNotBlank();
        assertThat(backend.required("remedy").asString()).isNotBlank();
      }
    }
  }

  @Test
  void inspectShowsAHistogram() {
    Cli.Outcome shown = Cli.run("inspect", Cli.TINY, "--weights", "model.layers.0.mlp.down_proj");
    assertThat(shown.status()).as(shown.err()).isZero();
    assertThat(shown.out()).contains("not quantized", "standard deviation", "####");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "demo",
        "quantize",
        "eval",
        "compare",
        "generate",
        "logits",
        "inspect",
        "convert",
        "backends"
      })
  void everyCommandExplainsItself(String command) {
    Cli.Outcome help = Cli.run(command, "--help");
    assertThat(help.status()).isZero();
    assertThat(help.out()).contains("Usage: gptq " + command);
    assertThat(help.out().lines()).allSatisfy(line -> assertThat(line.length()).isLessThan(101));
  }

  @Test
  void withoutACommandTheUsageIsShown() {
    Cli.Outcome nothing = Cli.run();
    assertThat(nothing.status()).isEqualTo(2);
    assertThat(nothing.err()).contains("Usage: gptq", "demo");
  }
}
