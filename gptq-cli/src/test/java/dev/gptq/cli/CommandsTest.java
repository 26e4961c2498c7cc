package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gptq.quantizer.pipeline.ModuleReport;
import dev.gptq.quantizer.pipeline.QuantizationLog;
import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import javax.imageio.ImageIO;
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
      assertThat(row.required("kl").asDouble()).isBetween(0.0, 5.0);
      assertThat(row.required("order").asString()).isEqualTo("group_aware");
      assertThat(row.required("grid").asString()).isEqualTo("hpiv");
      assertThat(row.required("refits").asInt()).isEqualTo(1);
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
            "4",
            "--head-bits",
            "8");
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

  @Test
  void evaluatesByAPublishedProtocol() {
    Object[] command = {
      "eval",
      "--model",
      Cli.TINY,
      "--text",
      Cli.EVALUATION,
      "--seq-len",
      "64",
      "--windows",
      "2",
      "--json",
      "--protocol"
    };
    double one = perplexity(command, "wikitext2");
    double other = perplexity(command, "ptb-new");
    assertThat(one).isBetween(1.0, 1000.0).isNotEqualTo(other);
    Cli.Outcome refused = Cli.run(append(command, "lambada"));
    assertThat(refused.status()).isEqualTo(65);
    assertThat(refused.err()).contains("lambada", "wikitext2");
  }

  private static double perplexity(Object[] command, String protocol) {
    Cli.Outcome measured = Cli.run(append(command, protocol));
    assertThat(measured.status()).as(measured.err()).isZero();
    assertThat(measured.json().required("windows").asInt()).isEqualTo(2);
    return measured.json().required("perplexity").asDouble();
  }

  private static Object[] append(Object[] command, String word) {
    Object[] words = Arrays.copyOf(command, command.length + 1);
    words[command.length] = word;
    return words;
  }

  @Test
  void plotsALog() throws IOException {
    Path log = folder.resolve("quantization-log.jsonl");
    Files.write(
        log, List.of(QuantizationLog.line(report(0, 2.5)), QuantizationLog.line(report(1, 4))));
    Path picture = folder.resolve("errors.png");
    Cli.Outcome drawn = Cli.run("plot", log, folder, "--output", picture, "--log");
    assertThat(drawn.status()).as(drawn.err()).isZero();
    BufferedImage image = ImageIO.read(picture.toFile());
    assertThat(image.getWidth()).isEqualTo(2 * 640);
    int white = 0;
    for (int x = 0; x < image.getWidth(); x++) {
      white += image.getRGB(x, 240) == Color.WHITE.getRGB() ? 1 : 0;
    }
    assertThat(white).isLessThan(image.getWidth());

    Files.write(log, List.of("time 1.23, error 456.78"));
    Cli.Outcome refused = Cli.run("plot", log, "--output", picture);
    assertThat(refused.status()).isEqualTo(65);
    assertThat(refused.err()).contains("quantization-log.jsonl, line 1");
  }

  private static ModuleReport report(int layer, double error) {
    return new ModuleReport(
        layer, "mlp.up_proj", "x", 1, 1, 4, 128, true, error, error, error, error, 0.01, 9, "", 1);
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
        "plot",
        "study",
        "inspect",
        "convert",
        "backends",
        "doctor"
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
