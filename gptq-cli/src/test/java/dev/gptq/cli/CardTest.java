package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A folder that is written can be uploaded as it is. */
final class CardTest {
  @TempDir private Path folder;
  private Path model;
  private Path output;

  @BeforeEach
  void copyModel() throws IOException {
    model = Files.createDirectory(folder.resolve("Small-1M"));
    output = folder.resolve("out");
    for (String name : List.of("config.json", "model.safetensors", "tokenizer.json")) {
      Files.copy(Cli.TINY.resolve(name), model.resolve(name));
    }
    Files.writeString(model.resolve("LICENSE"), "do as you like");
    Files.writeString(
        model.resolve("README.md"),
        """
        ---
        license: other
        license_name: likeable
        language:
        - en
        - de
        tags: [unquantized]
        ---
        Praise of the unquantized model.
        """);
  }

  private void quantize(Object... more) {
    Object[] words = {
      "quantize",
      "--model",
      model,
      "--output",
      output,
      "--method",
      "rtn",
      "--include",
      "0[.]self_attn"
    };
    Cli.Outcome done = Cli.run(Stream.of(words, more).flatMap(Arrays::stream).toArray());
    assertThat(done.status()).as(done.err()).isZero();
  }

  @Test
  void theCardNamesTheOriginalAndCarriesItsLicence() throws IOException {
    quantize("--base-model", "me/Small-1M", "--shard-size", "2MB");
    assertThat(output.resolve("LICENSE")).hasContent("do as you like");
    assertThat(output.resolve("model.safetensors.index.json")).exists();
    String card = Files.readString(output.resolve("README.md"));
    assertThat(card)
        .startsWith("---\nbase_model: me/Small-1M\nbase_model_relation: quantized\n")
        .contains(
            "\nlibrary_name: transformers\n", "\nlicense: other\n", "license_name: likeable\n")
        .contains("\nlanguage:\n- en\n- de\n", "\ntags:\n- gptq\n- 4-bit\n---\n")
        .contains("# Small-1M-gptq-w4g128\n", "| method | rounding to nearest |")
        .contains("vllm serve Small-1M-gptq-w4g128", "Not measured yet.")
        .doesNotContain("Praise", "unquantized]", folder.toString());

    Path other = folder.resolve("other");
    Cli.Outcome converted =
        Cli.run("convert", "--model", output, "--output", other, "--format", "compressed-tensors");
    assertThat(converted.status()).as(converted.err()).isZero();
    assertThat(Files.readString(other.resolve("README.md")))
        .contains("base_model: me/Small-1M\n", "license: other\n", "- compressed-tensors\n");
  }

  @Test
  void whatIsMeasuredIsWrittenIntoTheCard() throws IOException {
    quantize("--format", "gguf");
    Path file = output.resolve("Small-1M-Q4_0.gguf");
    for (int windows = 1; windows <= 2; windows++) {
      Cli.Outcome done =
          Cli.run(
              "eval",
              "--model",
              file,
              "--against",
              model,
              "--text",
              Cli.EVALUATION,
              "--card",
              "--seq-len",
              32,
              "--windows",
              windows);
      assertThat(done.status()).as(done.err()).isZero();
    }
    assertThat(Files.readString(output.resolve("README.md")))
        .contains("KL divergence from the original 0.0", "over 2 windows of 32 tokens")
        .contains(
            "gptq eval --model Small-1M-Q4_0.gguf --against Small-1M --text demo-evaluation.txt"
                + " --seq-len 32 --windows 2")
        .contains("llama-server -m Small-1M-Q4_0.gguf")
        .doesNotContain("Not measured", "1 windows", "base_model");
    Cli.Outcome refused =
        Cli.run(
            "eval",
            "--model",
            model,
            "--text",
            Cli.EVALUATION,
            "--card",
            "--seq-len",
            32,
            "--windows",
            1);
    assertThat(refused.status()).isEqualTo(65);
    assertThat(refused.err()).contains("is no model card of this program", "leave out --card");
  }
}
