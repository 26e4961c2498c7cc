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

/** What commands say about arguments that are wrong, or that do not do what they seem to. */
class AdviceTest {
  @TempDir private Path folder;

  private Cli.Outcome dryRun(String... more) {
    List<Object> words =
        new ArrayList<>(
            List.of("quantize", "--model", Cli.TINY, "--output", folder.resolve("out")));
    words.addAll(List.of("--samples", "8", "--seq-len", "128", "--dry-run"));
    words.addAll(List.of(more));
    return Cli.run(words.toArray());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--include [a         | '[a' is no regular expression (Unclosed character class at character",
        "--exclude a(         | 'a(' is no regular expression",
        "--group-size many    | --group-size must be a number or auto but is 'many'",
        "--bits four          | 'four' is not an int",
        "--groups 3           | Unknown options: '--groups'",
      })
  void wrongArgumentsAreToldInALine(String arguments, String message) {
    assertRefused(dryRun(arguments.split(" ")), message);
  }

  @ParameterizedTest
  @CsvSource({"a=b,a", "cuda.activatoins=f32,cuda.activatoins", "simd.activations=i9,i9"})
  void backendOptionsThatNoBackendHasAreRefused(String option, String message) {
    assertRefused(
        Cli.run("eval", "--model", Cli.TINY, "--text", Cli.EVALUATION, "--backend-option", option),
        message);
  }

  private static void assertRefused(Cli.Outcome refused, String message) {
    assertThat(refused.status()).as(refused.err()).isEqualTo(2);
    assertThat(refused.err().lines().filter(line -> line.startsWith("gptq: ")))
        .singleElement()
        .asString()
        .contains(message);
    assertThat(refused.err().lines().count()).as(refused.err()).isLessThan(4);
  }

  @Test
  void theModelChoosesTheGroupSize() {
    Cli.Outcome planned = dryRun("--group-size", "auto");
    assertThat(planned.status()).as(planned.err()).isZero();
    assertThat(planned.out())
        .contains("to 4 bits, group size 128", "group size 128, the largest of 128, 64 and 32");
  }

  @Test
  void patternsThatDoNothingAreTold() {
    assertThat(dryRun("--exclude", "lm_head").out())
        .contains("warning: --exclude lm_head matches no module");
    assertThat(dryRun("--exclude", "q_proj").out())
        .contains("warning: model.layers.0.self_attn.k_proj is quantized and");
  }

  @Test
  void textsThatDoNotSufficeAreTold() throws IOException {
    Path text = folder.resolve("rows.jsonl");
    Files.writeString(
        text,
        "{\"text\": null}\n"
            + "{\"text\": \"%s\"}\n".formatted("The captain looked at the sea. ".repeat(100)));
    Cli.Outcome measured =
        Cli.run("eval", "--model", Cli.TINY, "--text", text, "--seq-len", 4096, "--windows", 50);
    assertThat(measured.status()).as(measured.err()).isZero();
    assertThat(measured.err())
        .contains(
            "warning: windows of 4096 tokens are cut to the model's context of",
            "'text' is null in 1 of 2 documents",
            "fewer than the 50 asked for");
    assertThat(dryRun("--calibration", text.toString(), "--sampling", "even", "--seed", "7").out())
        .contains("'text' is null in 1 of 2", "so that 8 windows of 128 overlap");
  }
}
