package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** What goes wrong gets one clear message, its exit status, and leaves nothing half-written. */
final class BadInputTest {
  private static final int HEADER = 8;

  @TempDir private Path folder;
  private Path model;
  private Path shard;

  @BeforeEach
  void copyModel() throws IOException {
    model = Files.createDirectory(folder.resolve("model"));
    try (Stream<Path> files = Files.list(Cli.TINY)) {
      for (Path file : files.toList()) {
        Files.copy(file, model.resolve(file.getFileName()));
      }
    }
    shard = model.resolve("model.safetensors");
  }

  @Test
  void truncatedShard() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "rw")) {
      file.setLength(file.length() / 2);
    }
    assertRefused(65, "model.safetensors", "again");
  }

  @Test
  void headerLongerThanFile() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "rw")) {
      file.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(1L << 40).array());
    }
    assertRefused(65, "model.safetensors");
  }

  @Test
  void missingTensor() throws IOException {
    editHeader(h -> h.replace("layers.3.mlp.up_proj.weight", "layers.3.mlp.xx_proj.weight"));
    assertRefused(65, "model.layers.3.mlp.up_proj.weight", "nearest", "config.json");
  }

  @Test
  void wrongDtype() throws IOException {
    editHeader(h -> {
      int at = h.indexOf("model.layers.2.mlp.up_proj.weight");
      int type = h.indexOf("\"BF16\"", at);
      return h.substring(0, type) + "\"I16\" " + h.substring(type + 6);
    });
    assertRefused(65, "model.safetensors", "model.layers.2.mlp.up_proj.weight", "I16");
  }

  @Test
  void nanWeightsAreNamed() throws IOException {
    long begin = offsetOf("model.layers.4.self_attn.o_proj.weight");
    try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "rw")) {
      file.seek(begin + 2 * 77);
      file.write(new byte[] {(byte) 0xc0, 0x7f});
    }
    assertRefused(
        65, "model.safetensors", "model.layers.4.self_attn.o_proj.weight", "1 NaN", "--exclude");
  }

  @Test
  void groupSizeThatDoesNotDivide() {
    assertRefused(65, new String[] {"--group-size", "96"}, "96", "256", "k_proj", "-1");
  }

  @Test
  void unknownArchitecture() throws IOException {
    Path config = model.resolve("config.json");
    Files.writeString(
        config,
        Files.readString(config).replace("\"model_type\": \"llama\"", "\"model_type\": \"mamba\""));
    assertRefused(65, "config.json", "mamba", "llama");
  }

  @Test
  void textShorterThanOneWindow() throws IOException {
    Path text = Files.writeString(folder.resolve("short.txt"), "Too short.");
    assertRefused(65, new String[] {"--calibration", text.toString()}, "token");
  }

  @Test
  void outputFolderThatIsNotEmpty() throws IOException {
    Path output = Files.createDirectory(folder.resolve("out"));
    Path precious = Files.writeString(output.resolve("precious"), "mine");
    Cli.Outcome refused = quantize();
    assertThat(refused.status()).isEqualTo(65);
    assertThat(refused.err()).contains(output.toString(), "--overwrite");
    assertThat(precious).hasContent("mine");
  }

  @Test
  void outputThatIsTheModelOrContainsItOrLiesInIt() throws IOException {
    Files.createSymbolicLink(folder.resolve("link"), model);
    for (Path output : new Path[] {model, folder.resolve("link"), folder, model.resolve("w4")}) {
      Cli.Outcome refused =
          Cli.run(
              "quantize", "--model", model, "--output", output, "--overwrite", "--method", "rtn");
      assertThat(refused.status()).as(refused.err()).isEqualTo(2);
      assertThat(refused.err()).contains("gptq: the output ", "read").hasLineCount(1);
      assertThat(shard).exists();
    }
  }

  @Test
  void logitsInTheModelFolder() {
    Cli.Outcome refused = Cli.run("logits", "--model", model, "--tokens", "1,2", "--output", shard);
    assertThat(refused.status()).as(refused.err()).isEqualTo(2);
  }

  @Test
  void aLinkOutOfTheModelFolder() throws IOException {
    Path secret = Files.writeString(folder.resolve("secret"), "secret");
    Files.createSymbolicLink(model.resolve("README.md"), secret);
    assertRefused(65, "README.md is a link to", "outside the model's folder");
  }

  @Test
  void missingModelFolder() throws IOException {
    model = folder.resolve("nowhere");
    assertRefused(65, "nowhere does not exist");
  }

  @Test
  void missingTokenizer() throws IOException {
    Files.delete(model.resolve("tokenizer.json"));
    assertRefused(65, "tokenizer.json");
  }

  @Test
  void quantizedModelIsNotQuantizedAgain() throws IOException {
    Path once = folder.resolve("once");
    assertThat(Cli.run("quantize", "--model", model, "--output", once, "--method", "rtn").status())
        .isZero();
    model = once;
    assertRefused(65, "quantized already");
    Cli.Outcome compared =
        Cli.run(
            "compare",
            "--model",
            model,
            "--text",
            Cli.EVALUATION,
            "--windows",
            "1",
            "--seq-len",
            "32",
            "--method",
            "rtn",
            "--bits",
            "8,3",
            "--group-size",
            "128",
            "--json");
    assertThat(compared.status()).as(compared.err()).isZero();
    assertThat(compared.err()).contains("quantized already, to 4 bits", "second quantization");
    JsonNode rows = compared.json().required("results");
    assertThat(rows.get(0).required("kl").asDouble()).isBetween(1e-8, 1e-2);
    assertThat(rows.get(1).required("kl").asDouble())
        .isGreaterThan(10 * rows.get(0).required("kl").asDouble());
    Cli.Outcome evaluated =
        Cli.run(
            "eval",
            "--model",
            model,
            "--text",
            Cli.EVALUATION,
            "--windows",
            "1",
            "--seq-len",
            "32",
            "--json");
    assertThat(compared.json().required("full_precision").asDouble())
        .isEqualTo(evaluated.json().required("perplexity").asDouble());
  }

  @Test
  void optionsThatContradictEachOther() {
    assertRefused(2, new String[] {"--sym", "--asym"}, "--asym");
    assertRefused(2, new String[] {"--bits", "9"}, "--bits");
    assertRefused(2, new String[] {"--scheme", "half-offset"}, "half-offset");
    assertRefused(2, new String[] {"--scale-bits", "12"}, "--scale-bits must be between 4 and 11");
    assertRefused(2, new String[] {"--bits-choices", "5"}, "--observe and --target-bpw");
    assertRefused(2, new String[] {"--observe", "1", "--bits-choices", "4,9"}, "between 2 and 8");
    assertRefused(
        2,
        new String[] {
          "--observe", "1", "--bits-choices", "4,5", "--asym", "--format", "compressed-tensors"
        },
        "leave 5 out of --bits-choices");
    assertRefused(
        2,
        new String[] {"--observe", "1", "--format", "awq"},
        "--format awq has one setting for all modules");
    assertRefused(2, new String[] {"--no-such-option"}, "--no-such-option");
  }

  @Test
  void backendThatIsNotThere() {
    assertRefused(69, new String[] {"--backend", "abacus"}, "abacus", "reference");
  }

  private void assertRefused(int status, String... message) {
    assertRefused(status, new String[0], message);
  }

  private void assertRefused(int status, String[] options, String... message) {
    Cli.Outcome refused = quantize(options);
    assertThat(refused.status()).as(refused.err()).isEqualTo(status);
    assertThat(refused.err()).contains(message);
    assertThat(refused.err()).doesNotContain("\tat ");
    assertThat(folder.resolve("out")).doesNotExist();
  }

  private Cli.Outcome quantize(String... options) {
    return Cli.run(
        Stream.concat(
                Stream.<Object>of(
                    "quantize",
                    "--model",
                    model,
                    "--output",
                    folder.resolve("out"),
                    "--samples",
                    "2",
                    "--seq-len",
                    "32"),
                Stream.of(options))
            .toArray());
  }

  private void editHeader(UnaryOperator<String> edit) throws IOException {
    String header = header();
    String edited = edit.apply(header);
    assertThat(edited).hasSameSizeAs(header).isNotEqualTo(header);
    try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "rw")) {
      file.seek(HEADER);
      file.write(edited.getBytes(StandardCharsets.UTF_8));
    }
  }

  private String header() throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(shard.toFile(), "r")) {
      byte[] header = new byte[Math.toIntExact(Long.reverseBytes(file.readLong()))];
      file.readFully(header);
      return new String(header, StandardCharsets.UTF_8);
    }
  }

  private long offsetOf(String tensor) throws IOException {
    String header = header();
    int offsets = header.indexOf("\"data_offsets\":[", header.indexOf("\"" + tensor + "\""));
    String begin = header.substring(offsets + 16, header.indexOf(',', offsets + 16));
    return HEADER + header.length() + Long.parseLong(begin.trim());
  }
}
