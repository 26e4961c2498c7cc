package dev.gptq.formats.mlx;

import static dev.gptq.formats.FormatTests.MODULE;
import static dev.gptq.formats.FormatTests.hex;
import static dev.gptq.formats.FormatTests.matrix;
import static dev.gptq.formats.FormatTests.module;
import static dev.gptq.formats.FormatTests.open;
import static dev.gptq.formats.FormatTests.tensor;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.FormatTests;
import dev.gptq.formats.RandomMatrices;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.Formats;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.PackedModules;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.grid.Scheme;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class MlxFormatTest {
  @TempDir Path root;

  private static Format format() {
    return Formats.find("mlx").orElseThrow();
  }

  @Test
  void codesAndOffsetsAreTheKnownOnes() {
    PackedMatrix matrix = matrix(Scheme.ASYMMETRIC, 4, 1, 64, (o, i) -> i % 8, 0.5f, 3);
    List<StoredTensor> tensors = format().encode(module(matrix, StoredType.BF16));
    assertThat(tensor(tensors, "weight").describe()).endsWith("U32 [1, 8]");
    assertThat(hex(tensor(tensors, "weight"))).startsWith("76543210 76543210");
    assertThat(tensor(tensors, "biases").describe()).endsWith("BF16 [1, 1]");
    assertThat(Elements.get(tensor(tensors, "scales"), 0)).isEqualTo(0.5f);
    assertThat(Elements.get(tensor(tensors, "biases"), 0)).isEqualTo(-1.5f);
  }

  @ParameterizedTest
  @CsvSource({
    "2, 32", "3, 32", "4, 64", "4, 128", "5, 32", "6, 64", "8, 32", "4, 256", "3, 96", "4, -1"
  })
  void symmetricGridsComeBackBitForBit(int bits, int group) throws IOException {
    int columns = group == 96 ? 192 : 256;
    PackedMatrix matrix = RandomMatrices.of(Scheme.SYMMETRIC, bits, 5, columns, group, false, 3);
    Path folder = FormatTests.write(format(), matrix, StoredType.BF16, root.resolve("out"));
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(checkpoint.require(MODULE + ".scales").type()).isEqualTo(StoredType.F16);
      PackedModules modules = open(folder, checkpoint);
      assertThatCode(() -> modules.check(MODULE, 5, columns)).doesNotThrowAnyException();
      PackedMatrix read = modules.read(MODULE).matrix();
      assertThat(read.scheme()).isEqualTo(Scheme.SYMMETRIC);
      assertThat(read.words().mismatch(matrix.words())).isEqualTo(-1);
      for (int i = 0; i < columns; i++) {
        assertThat(read.weight(4, i)).isEqualTo(matrix.weight(4, i));
      }
      assertThatThrownBy(() -> modules.check(MODULE, columns, 5))
          .isInstanceOf(BadInputException.class)
          .hasMessageContaining("is packed as 5 x " + columns);
    }
  }

  @ParameterizedTest
  @CsvSource({"32, 32, 1", "64, 64, 1", "128, 128, 1", "128, -1, 2", "256, 256, 2"})
  void aRowThatIsOneGroupHasTheGroupsOfTheConfiguration(int columns, int group, long written) {
    PackedMatrix matrix = matrix(Scheme.SYMMETRIC, 4, 2, columns, (o, i) -> i % 8, 0.5f, 8);
    PackedModule module =
        new PackedModule(
            MODULE,
            matrix,
            new ModuleSettings(4, group, true, false),
            Optional.empty(),
            StoredType.F16,
            Path.of("memory"));
    assertThat(tensor(format().encode(module), "scales").shape()).containsExactly(2L, written);
  }

  @Test
  void offsetsThatFloat16RoundsAreOffByLittle() throws IOException {
    PackedMatrix matrix = RandomMatrices.of(Scheme.ASYMMETRIC, 4, 16, 64, 32, false, 3);
    Path folder = FormatTests.write(format(), matrix, StoredType.F16, root.resolve("out"));
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedMatrix read = open(folder, checkpoint).read(MODULE).matrix();
      for (int o = 0; o < 16; o++) {
        for (int g = 0; g < 2; g++) {
          assertThat(read.scale(o, g)).isEqualTo(matrix.scale(o, g));
          assertThat(Math.abs(read.zero(o, g) - matrix.zero(o, g))).isLessThan(0.0074f);
        }
      }
    }
  }

  @Test
  void float32KeepsWhatFloat16WouldRound() throws IOException {
    PackedMatrix matrix = RandomMatrices.of(Scheme.ASYMMETRIC, 8, 16, 64, 32, false, 3);
    Path folder = FormatTests.write(format(), matrix, StoredType.F32, root.resolve("out"));
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedMatrix read = open(folder, checkpoint).read(MODULE).matrix();
      assertThat(read.zeros().orElseThrow().mismatch(matrix.zeros().orElseThrow())).isEqualTo(-1);
    }
  }

  @Test
  void saysWhatItCannotHold() {
    assertThat(format().refusal(new ModuleSettings(4, 32, false, false), 8, 64)).isEmpty();
    assertThat(format().refusal(new ModuleSettings(7, 32, true, false), 8, 64).orElseThrow())
        .contains("no codes of 7 bits");
    assertThat(format().refusal(new ModuleSettings(4, 16, true, false), 8, 64).orElseThrow())
        .contains("16 is no multiple of 32");
    assertThat(format().refusal(new ModuleSettings(4, -1, true, false), 8, 96).orElseThrow())
        .contains("groups of 64, which do not divide 96");
    assertThat(format().refusal(new ModuleSettings(4, 32, true, true), 8, 64).orElseThrow())
        .contains("--static-groups");
  }

  @Test
  void modulesThatDifferAreNamed() {
    ModuleSettings four = new ModuleSettings(4, 64, true, false);
    ObjectNode json =
        format()
            .settings(
                new QuantizedModel(
                    four,
                    ImmutableMap.of("a.q", four, "a.k", new ModuleSettings(8, 256, true, false)),
                    ImmutableList.of(),
                    ImmutableMap.of(),
                    ImmutableMap.of()));
    assertThat(json.toString())
        .isEqualTo(
            "{\"group_size\":64,\"bits\":4,\"mode\":\"affine\","
                + "\"a.k\":{\"group_size\":128,\"bits\":8,\"mode\":\"affine\"}}");
  }

  @Test
  void configurationsGetTheNamesThatMlxReads() {
    ObjectNode config =
        (ObjectNode)
            JsonMapper.shared()
                .readTree(
                    """
                    {"rope_parameters": {
                       "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8,
                                          "partial_rotary_factor": 0.25},
                       "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"}},
                     "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
                     "num_local_experts": 4}
                    """);
    format().complete(config, JsonMapper.shared().createObjectNode().put("bits", 4));
    assertThat(config.get("rope_theta").doubleValue()).isEqualTo(1e6);
    assertThat(config.get("rope_local_base_freq").doubleValue()).isEqualTo(1e4);
    assertThat(config.get("rope_scaling").toString())
        .isEqualTo("{\"rope_type\":\"linear\",\"factor\":8,\"partial_rotary_factor\":0.25}");
    // It would be read as that of the layers with windows.
    assertThat(config.has("partial_rotary_factor")).isFalse();
    assertThat(config.get("sliding_window_pattern").intValue()).isEqualTo(3);
    assertThat(config.get("num_experts").intValue()).isEqualTo(4);
    assertThat(config.get("quantization")).isEqualTo(config.get("quantization_config"));
  }

  @Test
  void olderNamesOfGptNeoxAreThere() {
    ObjectNode config =
        (ObjectNode)
            JsonMapper.shared()
                .readTree(
                    """
                    {"model_type": "gpt_neox", "rope_parameters": {
                       "rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.25}}
                    """);
    format().complete(config, JsonMapper.shared().createObjectNode().put("bits", 4));
    assertThat(config.get("rotary_emb_base").doubleValue()).isEqualTo(1e4);
    assertThat(config.get("rotary_pct").doubleValue()).isEqualTo(0.25);
  }

  @Test
  void keysThatMlxInsistsOnAreThere() {
    ObjectNode config =
        (ObjectNode)
            JsonMapper.shared()
                .readTree(
                    """
                    {"text_config": {"rope_parameters": {"rope_theta": 5}},
                     "layer_types": ["sliding_attention", "full_attention"],
                     "head_dim": 16,
                     "per_layer_config": {"1": {"head_dim": 32, "num_key_value_heads": 1}},
                     "rope_parameters":
                      {"rope_theta": 1e6, "partial_rotary_factor": 0.5, "rope_type": "default"}}
                    """);
    format().complete(config, JsonMapper.shared().createObjectNode());
    assertThat(config.get("partial_rotary_factor").doubleValue()).isEqualTo(0.5);
    assertThat(config.get("rope_scaling").isNull()).isTrue();
    assertThat(config.get("global_head_dim").intValue()).isEqualTo(32);
    assertThat(config.get("num_global_key_value_heads").intValue()).isEqualTo(1);
    assertThat(config.at("/text_config/rope_theta").intValue()).isEqualTo(5);
  }

  /** The layers of EXAONE 4 as letters, however its configuration says it. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"sliding_window\": 9, \"sliding_window_pattern\": 2 | \"LGLGG\"",
        "\"sliding_window\": 9, \"sliding_window_pattern\": \"LLG\" | \"LLGLG\"",
        "\"sliding_window\": 9 | \"LLLGG\"",
        "\"sliding_window\": null, \"sliding_window_pattern\": 4 | null",
        "\"sliding_window_pattern\": \"LLLG\" | null"
      })
  void lettersOfExaone(String keys, String letters) {
    ObjectNode config =
        (ObjectNode)
            JsonMapper.shared()
                .readTree("{\"model_type\": \"exaone4\", \"num_hidden_layers\": 5, " + keys + "}");
    format().complete(config, JsonMapper.shared().createObjectNode());
    assertThat(config.get("sliding_window_pattern")).hasToString(letters);
    assertThat(config.has("sliding_window")).isTrue();
    config.putArray("layer_types").add("full_attention").add("sliding_attention");
    config.put("num_hidden_layers", 2).put("sliding_window", 7);
    format().complete(config, JsonMapper.shared().createObjectNode());
    assertThat(config.get("sliding_window_pattern").stringValue()).isEqualTo("GL");
  }

  /** mlx-lm's own files: its values, and its tensors again from what was read. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-headdim-2g32",
        "llama-headdim-3g32",
        "llama-headdim-4g32",
        "llama-headdim-8g64",
        "llama-gqa-rope3-4g32",
        "qwen3-4g64",
        "gemma3-4g64"
      })
  void matricesAreThoseOfMlx(String name) throws IOException {
    Path folder = SharedFiles.require("golden/formats").resolve("mlx").resolve(name);
    int compared = 0;
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      PackedModules modules = open(folder, checkpoint);
      for (Map.Entry<String, JsonNode> entry : FormatTests.truth("mlx/" + name).properties()) {
        String module = entry.getKey();
        if (!modules.has(module)) {
          continue;
        }
        PackedMatrix matrix = modules.read(module).matrix();
        // The truth adds s·u and the bias, which is what −s·z is rounded to its type.
        assertThat(FormatTests.hash(matrix, (o, i) -> sum(matrix, o, i)))
            .as(module)
            .isEqualTo(entry.getValue().get("sha256").stringValue());
        for (StoredTensor written :
            format().encode(FormatTests.module(module, matrix, StoredType.BF16))) {
          StoredTensor theirs = checkpoint.require(written.name());
          if (written.name().endsWith("weight")) {
            assertThat(written.describe()).isEqualTo(theirs.describe());
            assertThat(written.data().mismatch(theirs.data())).as(written.name()).isEqualTo(-1);
          }
        }
        compared++;
      }
    }
    assertThat(compared).isGreaterThan(6);
  }

  private static float sum(PackedMatrix matrix, int o, int i) {
    int g = matrix.group(i);
    float scale = matrix.scale(o, g);
    float bias = Elements.rounded(StoredType.BF16, -(scale * matrix.zero(o, g)));
    return scale * matrix.code(o, i) + bias;
  }
}
