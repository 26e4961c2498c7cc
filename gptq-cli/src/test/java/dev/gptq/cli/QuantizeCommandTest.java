package dev.gptq.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.base.Splitter;
import dev.gptq.models.Model;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

final class QuantizeCommandTest {
  private static final String[] QUICK = {"--samples", "4", "--seq-len", "64", "--sampling", "even"};

  @TempDir private Path folder;

  private Cli.Outcome quantize(Path output, Object... more) {
    return Cli.run(
        Stream.of(
                Stream.<Object>of(
                    "quantize",
                    "--model",
                    Cli.TINY,
                    "--output",
                    output,
                    "--calibration",
                    Cli.CALIBRATION),
                Stream.<Object>of((Object[]) QUICK),
                Stream.of(more))
            .flatMap(s -> s)
            .toArray());
  }

  @Test
  void writesCheckpointThatEvaluatesAndInspects() throws IOException {
    Path output = folder.resolve("w4");
    Cli.Outcome quantized = quantize(output, "--json");
    assertThat(quantized.status()).as(quantized.err()).isZero();
    JsonNode json = quantized.json();
    assertThat(json.required("command").asString()).isEqualTo("quantize");
    assertThat(json.required("modules").asInt()).isEqualTo(42);
    assertThat(json.required("bits_per_weight").asDouble()).isBetween(4.15, 4.3);
    assertThat(json.required("total_error").asDouble()).isPositive();
    assertThat(json.required("peak_tensor_bytes").asLong()).isPositive();
    assertThat(json.required("peak_heap_bytes").asLong()).isPositive();
    assertThat(json.required("peak_memory_bytes").asLong())
        .isEqualTo(
            json.required("peak_tensor_bytes").asLong()
                + json.required("peak_heap_bytes").asLong());
    if (Files.exists(Path.of("/proc/self/status"))) {
      assertThat(json.required("peak_process_bytes").asLong())
          .isGreaterThan(json.required("peak_tensor_bytes").asLong());
    }
    assertThat(json.required("writing_seconds").asDouble())
        .isBetween(0.0, json.required("seconds").asDouble());

    List<String> log = Files.readAllLines(output.resolve("quantization-log.jsonl"));
    assertThat(log).hasSize(42);
    JsonNode first = JsonMapper.shared().readTree(log.getFirst());
    assertThat(first.required("name").asString()).isEqualTo("model.layers.0.self_attn.k_proj");
    assertThat(first.required("relative_error").asDouble())
        .isLessThan(first.required("rtn_relative_error").asDouble());
    assertThat(first.required("tokens").asLong()).isEqualTo(4 * 64);

    JsonNode config =
        JsonMapper.shared().readTree(output.resolve("config.json")).required("quantization_config");
    assertThat(config)
        .isEqualTo(JsonMapper.shared().readTree(output.resolve("quantize_config.json")));
    assertThat(output.resolve("tokenizer.json"))
        .hasSameBinaryContentAs(Cli.TINY.resolve("tokenizer.json"));

    Cli.Outcome inspected = Cli.run("inspect", output);
    assertThat(inspected.out()).contains("4 bits, group size 128, symmetric", "checks passed");

    double full = perplexity(Cli.TINY);
    assertThat(perplexity(output)).isBetween(full, 1.3 * full);
    assertNothingElseIn(folder, "w4");
  }

  @ParameterizedTest
  @CsvSource({
    "2, 32, --asym, --act-order --no-static-groups",
    "2, 32, --asym, --act-order",
    "3, 64, --sym, --static-groups",
    "8, -1, --asym, --mse",
    "4, 128, --scheme=sym-restricted, --order=group-aware"
  })
  void everyWidthGoesThroughTheFile(int bits, int groupSize, String scheme, String option)
      throws IOException {
    Path output = folder.resolve("out");
    List<Object> words =
        new ArrayList<>(
            List.of(
                "--bits", bits, "--group-size=" + groupSize, scheme, "--include", "layers[.]1[.]"));
    words.addAll(Splitter.on(' ').splitToList(option));
    Cli.Outcome quantized = quantize(output, words.toArray());
    assertThat(quantized.status()).as(quantized.err()).isZero();
    try (Model model = Model.open(output)) {
      String module = "model.layers.1.mlp.down_proj";
      var packed = model.quantization().orElseThrow().read(module);
      assertThat(packed.warnings()).isEmpty();
      assertThat(packed.matrix().bits()).isEqualTo(bits);
      assertThat(packed.matrix().groupOf().isPresent())
          .isEqualTo(option.contains("--no-static-groups"));
      assertThat(model.checkpoint().find("model.layers.0.mlp.down_proj.weight")).isPresent();
    }
    assertThat(perplexity(output)).isFinite();
  }

  @Test
  void rtnNeedsNoCalibration() throws IOException {
    Path output = folder.resolve("rtn");
    Cli.Outcome quantized =
        Cli.run(
            "quantize",
            "--model",
            Cli.TINY,
            "--output",
            output,
            "--method",
            "rtn",
            "--report",
            folder.resolve("report"),
            "--text",
            Cli.EVALUATION,
            "--windows",
            "1",
            "--seq-len",
            "32",
            "--json");
    assertThat(quantized.status()).as(quantized.err()).isZero();
    JsonNode quality = quantized.json().required("quality");
    assertThat(quality.required("quantized").required("kl").asDouble()).isPositive();
    assertThat(quality.has("rounded_to_nearest")).as("it is that itself").isFalse();
    assertThat(Files.readString(folder.resolve("report/index.html")))
        .as("nothing of what rounding does not look at")
        .contains("group size", "vector bits")
        .doesNotContain("damping", "true-sequential", "RTN relative", "Refinement", "uPlot");
    assertThat(quantized.json().required("total_error").isNull()).isTrue();
    assertThat(Files.readString(output.resolve("quantization-log.jsonl")))
        .contains("\"error\":null");
  }

  @Test
  void makesTheFoldersAboveTheOutputHoweverItStartsAndMeasuresWhatItMade() throws IOException {
    Path output = folder.resolve("a/b/w3");
    Path page = folder.resolve("page");
    Cli.Outcome quantized =
        quantize(
            output,
            "--no-resume",
            "--include",
            "layers[.]1[.].*k_proj",
            "--bits",
            "3",
            "--text",
            Cli.EVALUATION,
            "--windows",
            "2",
            "--report",
            page);
    assertThat(quantized.status()).as(quantized.err()).isZero();
    assertThat(output.resolve("model.safetensors")).exists();
    assertThat(quantized.out()).contains("tokens of demo-evaluation.txt:");
    double made = divergence(quantized, "quantized");
    assertThat(divergence(quantized, "rounded to nearest"))
        .as("of the one module that is quantized, and only that")
        .isGreaterThan(made)
        .isLessThan(0.2);
    assertThat(Files.readString(page.resolve("index.html")))
        .contains("Beside the original and rounding to nearest", "keys and values of 512 tokens")
        .contains("GPTQModel", "<td>rounded to nearest</td>");
  }

  private static double divergence(Cli.Outcome outcome, String row) {
    Matcher found =
        Pattern.compile("(?m)^" + row + " +[\\d.]+ +([\\d.]+) ± ").matcher(outcome.out());
    assertThat(found.find()).as(outcome.out()).isTrue();
    return Double.parseDouble(found.group(1));
  }

  @Test
  void theFolderIsCalledLikeTheModel() {
    assertThat(Cli.run("quantize", "--model", folder.resolve("tiny@v1"), "--bits", 3).err())
        .contains("the result goes to tiny-w3;");
    assertThat(Cli.run("quantize", "--model", folder.resolve("m.gguf"), "--type", "q4_k").err())
        .contains("the result goes to m-Q4_K;");
    Cli.Outcome nameless = Cli.run("quantize", "--model", "..");
    assertThat(nameless.status()).isEqualTo(2);
    assertThat(nameless.err()).contains("give --output DIR");
  }

  @Test
  void windowsAreOfAText() {
    Cli.Outcome outcome = quantize(folder.resolve("none"), "--windows", "2");
    assertThat(outcome.status()).isEqualTo(2);
    assertThat(outcome.err()).contains("--text");
  }

  @Test
  void sameCommandGivesSameBytes() {
    quantize(folder.resolve("a"));
    quantize(folder.resolve("b"));
    assertThat(folder.resolve("a/model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("b/model.safetensors"));
  }

  /** What this program does not know of a checkpoint may matter to another. */
  @Test
  void convertingKeepsWhatWasDeclared() throws IOException {
    Path v1 = folder.resolve("v1");
    Path v2 = folder.resolve("v2");
    Cli.run("quantize", "--model", Cli.TINY, "--output", v1, "--method", "rtn");
    for (String name : List.of("config.json", "quantize_config.json")) {
      Path file = v1.resolve(name);
      Files.writeString(
          file,
          Files.readString(file)
              .replace(
                  "\"pack_dtype\"",
                  "\"damp_percent\": 0.05, \"modules_in_block_to_quantize\": [[\"a\"]], "
                      + "\"version\": \"gptq\", \"pack_dtype\""));
    }
    Cli.Outcome converted =
        Cli.run("convert", "--model", v1, "--output", v2, "--format", "gptq_v2");
    assertThat(converted.status()).as(converted.err()).isZero();
    JsonNode settings = JsonMapper.shared().readTree(v2.resolve("quantize_config.json"));
    assertThat(settings.path("damp_percent").asDouble()).isEqualTo(0.05);
    assertThat(settings.path("modules_in_block_to_quantize").size()).isEqualTo(1);
    for (String key : List.of("checkpoint_format", "format", "version")) {
      assertThat(settings.path(key).asString()).as(key).isEqualTo("gptq_v2");
    }
    assertThat(settings.path("meta").toString()).contains("quantizer", "converter");
    assertThat(JsonMapper.shared().readTree(v2.resolve("config.json")).get("quantization_config"))
        .isEqualTo(settings);
    assertThat(
            Cli.run("convert", "--model", v1, "--output", v2, "--format", "gptq_v2", "--overwrite")
                .status())
        .isZero();
    assertThat(
            Cli.run("convert", "--model", v2, "--output", v2, "--format", "gptq", "--overwrite")
                .status())
        .isEqualTo(2);
  }

  /** Zero points from 1 on, which the first version of the format stores less one. */
  @Test
  void asymmetricGridsInTheFirstVersionOfTheFormat() throws IOException {
    Path output = folder.resolve("v1");
    Cli.Outcome quantized =
        quantize(
            output, "--method", "rtn", "--asym", "--format", "gptq", "--include", "layers[.]1[.]");
    assertThat(quantized.status()).as(quantized.err()).isZero();
    Path converted = folder.resolve("v2");
    Cli.Outcome conversion =
        Cli.run("convert", "--model", output, "--output", converted, "--format", "gptq_v2");
    assertThat(conversion.status()).as(conversion.err()).isZero();
    assertThat(conversion.err())
        .contains("format gptq_v2: vLLM refuses gptq but for 4 and 8 bits, symmetric");
    assertThat(Cli.run("inspect", converted).out()).contains("asymmetric", "checks passed");
    Path back = folder.resolve("back");
    assertThat(
            Cli.run("convert", "--model", converted, "--output", back, "--format", "gptq").status())
        .isZero();
    assertSameTensors(back, output, "model.layers.1.mlp.up_proj");
  }

  @Test
  void writesSeveralFormatsOfOneRun() throws IOException {
    Path output = folder.resolve("both");
    Cli.Outcome quantized =
        quantize(
            output,
            "--asym",
            "--format",
            "compressed-tensors,gptq_v2",
            "--include",
            "layers[.]1[.]",
            "--exclude",
            "v_proj");
    assertThat(quantized.status()).as(quantized.err()).isZero();
    Path compressed = output.resolve("compressed-tensors");
    JsonNode settings =
        JsonMapper.shared()
            .readTree(compressed.resolve("config.json"))
            .required("quantization_config");
    assertThat(settings.required("quant_method").asString()).isEqualTo("compressed-tensors");
    assertThat(settings.required("ignore").toString())
        .contains("\"lm_head\"", "\"model.layers.1.self_attn.v_proj\"")
        .doesNotContain("layers.1.self_attn.k_proj", "norm", "embed");
    assertThat(compressed.resolve("quantize_config.json")).doesNotExist();
    assertThat(
            JsonMapper.shared()
                .readTree(compressed.resolve("config.json"))
                .required("quantized_by")
                .toString())
        .startsWith("[\"gptq-java:");
    JsonNode gptq =
        JsonMapper.shared().readTree(output.resolve("gptq_v2").resolve("quantize_config.json"));
    assertThat(gptq.required("modules_in_block_to_quantize").get(0)).hasSize(6);

    assertThat(perplexity(compressed)).isEqualTo(perplexity(output.resolve("gptq_v2")));
    assertThat(Cli.run("inspect", compressed).out())
        .contains("4 bits, group size 128, asymmetric, format compressed-tensors", "checks passed");

    Path converted = folder.resolve("converted");
    assertThat(
            Cli.run("convert", "--model", compressed, "--output", converted, "--format", "gptq_v2")
                .status())
        .isZero();
    assertThat(converted.resolve("model.safetensors"))
        .exists()
        .satisfies(file ->
            assertSameTensors(converted, output.resolve("gptq_v2"), "model.layers.1.mlp.up_proj"));
  }

  private static void assertSameTensors(Path one, Path other, String module) throws IOException {
    try (Model first = Model.open(one);
        Model second = Model.open(other)) {
      for (String part : List.of("qweight", "qzeros", "scales", "g_idx")) {
        assertThat(
                first
                    .checkpoint()
                    .require(module + "." + part)
                    .data()
                    .mismatch(second.checkpoint().require(module + "." + part).data()))
            .as(part)
            .isEqualTo(-1);
      }
    }
  }

  @Test
  void whatAFormatCannotHoldIsRefusedBeforeTheRun() {
    Cli.Outcome refused =
        quantize(folder.resolve("no"), "--bits", 3, "--asym", "--format", "compressed-tensors");
    assertThat(refused.status()).isNotZero();
    assertThat(refused.err())
        .contains("asymmetric grids of 4 and 8 bits only", "these can: gptq, gptq_v2");
    Cli.Outcome scattered =
        quantize(
            folder.resolve("no"),
            "--act-order",
            "--no-static-groups",
            "--format",
            "compressed-tensors");
    assertThat(scattered.err()).contains("act-order without --static-groups scatters them");
    Cli.Outcome unknown = quantize(folder.resolve("no"), "--format", "exl2");
    assertThat(unknown.err()).contains("must be one of gptq, gptq_v2, compressed-tensors");
  }

  @Test
  void convertsWithoutLoss() {
    Path v1 = folder.resolve("v1");
    Path v2 = folder.resolve("v2");
    Path back = folder.resolve("back");
    quantize(v1);
    assertThat(Cli.run("convert", "--model", v1, "--output", v2, "--format", "gptq_v2").status())
        .isZero();
    assertThat(Cli.run("convert", "--model", v2, "--output", back, "--format", "gptq").status())
        .isZero();
    assertThat(v2.resolve("model.safetensors").toFile().length())
        .isEqualTo(v1.resolve("model.safetensors").toFile().length());
    assertThat(perplexity(v2)).isEqualTo(perplexity(v1));
    assertThat(perplexity(back)).isEqualTo(perplexity(v1));
  }

  @Test
  void dryRunWritesNothing() throws IOException {
    Cli.Outcome plan = quantize(folder.resolve("plan"), "--dry-run");
    assertThat(plan.status()).as(plan.err()).isZero();
    assertThat(plan.out())
        .contains("would quantize 6 blocks of Llama", "memory on the backend", "Java heap: about ")
        .containsPattern("time on .*: a few seconds;");
    assertNothingElseIn(folder);
  }

  private static double perplexity(Path model) {
    Cli.Outcome measured =
        Cli.run(
            "eval",
            "--model",
            model,
            "--text",
            Cli.EVALUATION,
            "--seq-len",
            "64",
            "--windows",
            "4",
            "--json");
    assertThat(measured.status()).as(measured.err()).isZero();
    assertThat(measured.json().required("windows").asInt()).isEqualTo(4);
    return measured.json().required("perplexity").asDouble();
  }

  private static void assertNothingElseIn(Path folder, String... names) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      assertThat(entries.map(path -> path.getFileName().toString()))
          .containsExactlyInAnyOrder(names);
    }
  }
}
