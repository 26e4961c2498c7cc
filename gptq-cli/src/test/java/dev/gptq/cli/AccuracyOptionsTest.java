package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** The options beyond plain GPTQ and the measures beyond perplexity. */
final class AccuracyOptionsTest {
  @TempDir private Path folder;

  @Test
  void compareRepeatsWithSeveralSeeds() {
    Object[] command = {
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
      "4",
      "--group-size",
      "128",
      "--method",
      "gptq",
      "--seeds",
      "2"
    };
    Cli.Outcome json = Cli.run(Stream.concat(Stream.of(command), Stream.of("--json")).toArray());
    assertThat(json.status()).as(json.err()).isZero();
    JsonNode row = json.json().required("results").get(0);
    assertThat(row.required("kl_deviation").asDouble()).isPositive();
    assertThat(row.required("perplexity_deviation").asDouble()).isPositive();
    Cli.Outcome table = Cli.run(Stream.concat(Stream.of(command), Stream.of("--no-kl")).toArray());
    assertThat(table.out()).contains(" ± ").doesNotContain("KL");
    Cli.Outcome even =
        Cli.run(Stream.concat(Stream.of(command), Stream.of("--sampling", "even")).toArray());
    assertThat(even.status()).isEqualTo(2);
    assertThat(even.err()).contains("--seeds 2 needs --sampling random");
  }

  @ParameterizedTest
  @CsvSource({
    "--samples,2147483647,'--samples is 2147483647, but the calibration text has '",
    "--seeds,2147483647,--seeds must be between 1 and 1000 but is 2147483647"
  })
  void moreThanATextGivesIsRefused(String option, String value, String message) {
    Cli.Outcome refused =
        Cli.run(
            "compare",
            "--model",
            Cli.TINY,
            "--text",
            Cli.EVALUATION,
            "--calibration",
            Cli.CALIBRATION,
            option,
            value);
    assertThat(refused.status()).isEqualTo(2);
    assertThat(refused.err()).contains(message);
  }

  @Test
  void presetsCanBeOverridden() {
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
            "1",
            "--bits",
            "2",
            "--group-size",
            "32",
            "--method",
            "gptq",
            "--no-kl",
            "--asym",
            "--quality",
            "best",
            "--order",
            "act",
            "--grid",
            "hdiag",
            "--target",
            "qep",
            "--alpha",
            "0.25",
            "--curvature",
            "inputs",
            "--beam",
            "2",
            "--refit",
            "2",
            "--sweeps",
            "1",
            "--json");
    assertThat(compared.status()).as(compared.err()).isZero();
    JsonNode row = compared.json().required("results").get(0);
    assertThat(row.required("order").asString()).isEqualTo("activation");
    assertThat(row.required("grid").asString()).isEqualTo("hdiag");
    assertThat(row.required("target").asString()).isEqualTo("qep");
    assertThat(row.required("beam").asInt()).isEqualTo(2);
    assertThat(row.required("refits").asInt()).isEqualTo(2);
    assertThat(row.required("sweeps").asInt()).isEqualTo(1);
  }

  @ParameterizedTest
  @CsvSource({
    "--quality,fine,fast standard best",
    "--grid,big,minmax mse hdiag hpiv hclip loop",
    "--target,none,plain qep residual",
    "--beam,33,between 1 and 32",
    "--alpha,2,between 0 and 1"
  })
  void wrongNamesAreAnsweredWithTheRightOnes(String option, String value, String words) {
    // An option may be given once only.
    String preset = option.equals("--quality") ? "--bits=4" : "--quality=best";
    Cli.Outcome refused =
        Cli.run("compare", "--model", Cli.TINY, "--text", Cli.EVALUATION, preset, option, value);
    assertThat(refused.status()).isEqualTo(2);
    assertThat(refused.err()).contains(words.split(" "));
  }

  @Test
  void evalComparesPredictions() throws IOException {
    Cli.Outcome against =
        Cli.run(
            "eval",
            "--model",
            Cli.TINY,
            "--against",
            Cli.TINY,
            "--text",
            Cli.EVALUATION,
            "--seq-len",
            "64",
            "--windows",
            "2",
            "--json");
    assertThat(against.status()).as(against.err()).isZero();
    JsonNode json = against.json();
    assertThat(json.required("kl").asDouble()).isBetween(-1e-9, 1e-9);
    assertThat(json.required("top1_agreement").asDouble()).isEqualTo(1);
    assertThat(json.required("ln_perplexity_ratio").asDouble()).isZero();
    assertThat(json.required("probability_change_percentiles")).hasSize(5);
    Path logged = Files.createDirectory(folder.resolve("logged"));
    for (String name : List.of("config.json", "model.safetensors", "tokenizer.json")) {
      Files.copy(Cli.TINY.resolve(name), logged.resolve(name));
    }
    Files.writeString(
        logged.resolve("quantization-log.jsonl"),
        """
        {"layer":3,"module":"mlp.up_proj","name":"model.layers.3.mlp.up_proj","rows":8,"columns":8,"bits":4,\
        "group_size":8,"sym":true,"error":0.5,"relative_error":0.25,"rtn_error":1,"rtn_relative_error":0.5,\
        "damp":0.01,"tokens":9,"fallback":null,"seconds":1}
        """);
    Path page = folder.resolve("page");
    Cli.Outcome text =
        Cli.run(
            "eval",
            "--model",
            logged,
            "--against",
            Cli.TINY,
            "--text",
            Cli.EVALUATION,
            "--seq-len",
            "64",
            "--windows",
            "2",
            "--report",
            page);
    assertThat(text.out()).contains("mean KL divergence", "same most likely token 100.00000");
    assertThat(Files.readString(page.resolve("index.html")))
        .contains("logged beside tiny on demo-evaluation.txt", "mean KL divergence", "the original")
        .contains("model.layers.3.mlp.up_proj", "gptq eval --model", " --windows 2 ");
    assertThat(Files.readString(page.resolve("index.html")))
        .as("engines are estimated beside the original")
        .contains("an estimate", "weights that a token reads", "H100, 80 GB", "of the original");
  }
}
