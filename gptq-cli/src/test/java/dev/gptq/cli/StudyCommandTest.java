package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

final class StudyCommandTest {
  @TempDir private Path folder;

  @Test
  void comparesAllSchemesWithAndWithoutObservation() throws IOException {
    Path report = folder.resolve("report");
    Cli.Outcome studied =
        Cli.run(
            "study",
            "--model",
            Cli.TINY,
            "--calibration",
            Cli.CALIBRATION,
            "--samples",
            "2",
            "--seq-len",
            "64",
            "--windows",
            "1",
            "--observe",
            "2",
            "--report",
            report,
            "--json");
    assertThat(studied.status()).as(studied.err()).isZero();
    Map<String, JsonNode> runs = new HashMap<>();
    studied
        .json()
        .required("results")
        .forEach(run ->
            runs.put(
                run.required("scheme").asString() + run.required("observed").asBoolean(), run));
    assertThat(runs).hasSize(8);
    for (String scheme : new String[] {"asym", "sym", "sym-restricted", "half-offset"}) {
      JsonNode plain = runs.get(scheme + false);
      JsonNode observed = runs.get(scheme + true);
      assertThat(error(observed)).isLessThan(error(plain));
      assertThat(observed.required("largest_error").asDouble())
          .isLessThanOrEqualTo(plain.required("largest_error").asDouble());
      assertThat(observed.required("bits_per_weight").asDouble())
          .isGreaterThan(plain.required("bits_per_weight").asDouble());
      assertThat(plain.required("zero_point").asBoolean()).isEqualTo(scheme.equals("asym"));
    }
    // Simulation on normal and Laplace weights: 1.22 to 1.37, 1.37 to 1.54, 1.19 to 1.34.
    double asym = error(runs.get("asymfalse"));
    assertThat(error(runs.get("symfalse")) / asym).isBetween(1.1, 1.4);
    assertThat(error(runs.get("sym-restrictedfalse")) / asym).isBetween(1.25, 1.6);
    assertThat(error(runs.get("half-offsetfalse")) / asym).isBetween(1.05, 1.4);

    String page = Files.readString(report.resolve("index.html"));
    assertThat(page)
        .contains("half-offset-observed", "Hypotheses", "class=\"chart\"", "uPlot", "backend")
        .doesNotContain("src=", "href=", "@import", "url(", "fetch(", "import(");
    assertThat(report.toFile().list()).hasSize(9);
    Cli.Outcome drawn =
        Cli.run(
            "plot",
            report.resolve("asym.jsonl"),
            report.resolve("sym.jsonl"),
            "--output",
            folder.resolve("errors.svg"),
            "--report",
            folder.resolve("page"));
    assertThat(drawn.status()).as(drawn.err()).isZero();
    assertThat(folder.resolve("page/index.html")).isNotEmptyFile();
  }

  private static double error(JsonNode run) {
    return run.required("total_error").asDouble();
  }
}
