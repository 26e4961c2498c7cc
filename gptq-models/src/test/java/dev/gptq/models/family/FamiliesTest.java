package dev.gptq.models.family;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.primitives.Longs;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.WriterOptions;
import dev.gptq.models.config.ModelConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class FamiliesTest {
  @TempDir Path folder;

  private DecoderSpec describe(ObjectNode config) throws IOException {
    Files.writeString(folder.resolve(ModelConfig.FILE), config.toString());
    return Families.describe(ModelConfig.read(folder));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-mha",
        "llama-gqa-rope3",
        "llama-headdim",
        "mistral-sliding",
        "mixtral",
        "qwen2",
        "qwen3",
        "qwen3-moe",
        "gemma2",
        "phi3",
        "opt-pre",
        "opt-350m-style",
        "bloom",
        "gpt2",
        "gpt-neox"
      })
  void describesEveryTensorOfACheckpoint(String name) throws IOException {
    Path checkpoint = SharedFiles.require("models/architectures/" + name);
    Map<String, Object> stored = new TreeMap<>();
    try (Checkpoint tensors = Checkpoint.open(checkpoint)) {
      tensors.names().forEach(tensor -> stored.put(tensor, tensors.require(tensor).shape()));
    }
    DecoderSpec spec = Families.describe(ModelConfig.read(checkpoint));
    assertThat(SpecTensors.of(spec)).isEqualTo(stored);
  }

  @ParameterizedTest
  @CsvSource({"gpt2, transformer.", "bloom, transformer.", "opt-post, model.", "llama, ''"})
  void bareDecodersHaveShorterNames(String architecture, String base) throws IOException {
    Path full = RandomCheckpoint.write(folder.resolve("full"), TinyConfigs.json(architecture), 5);
    Path bare = folder.resolve("bare");
    try (Checkpoint source = Checkpoint.open(full);
        CheckpointWriter writer = CheckpointWriter.create(bare, WriterOptions.DEFAULT)) {
      for (String name : source.names()) {
        StoredTensor tensor = source.require(name);
        writer.add(
            name.startsWith(base) ? name.substring(base.length()) : name,
            tensor.type(),
            Longs.toArray(tensor.shape()),
            tensor.data());
      }
      writer.commit();
    }
    ModelConfig config = ModelConfig.read(full);
    try (Checkpoint fullTensors = Checkpoint.open(full);
        Checkpoint bareTensors = Checkpoint.open(bare)) {
      assertThat(SpecTensors.of(Families.describe(config, fullTensors)).keySet())
          .isEqualTo(fullTensors.names());
      assertThat(SpecTensors.of(Families.describe(config, bareTensors)).keySet())
          .isEqualTo(bareTensors.names());
    }
  }

  /** Transformers 4 had rotary parameters in other places. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-mha",
        "llama-headdim",
        "mistral-sliding",
        "mixtral",
        "qwen2",
        "qwen3",
        "qwen3-moe",
        "gemma2",
        "phi3",
        "gpt-neox"
      })
  void olderConfigurationsSayTheSame(String name) throws IOException {
    Path current = SharedFiles.require("models/architectures/" + name);
    ObjectNode config = ModelConfig.read(current).json();
    JsonNode rope = config.remove("rope_parameters");
    boolean neox = name.equals("gpt-neox");
    config.set(neox ? "rotary_emb_base" : "rope_theta", rope.get("rope_theta"));
    if (rope.has("partial_rotary_factor")) {
      config.set(neox ? "rotary_pct" : "partial_rotary_factor", rope.get("partial_rotary_factor"));
    }
    config.set("torch_dtype", config.remove("dtype"));
    if (config.has("num_local_experts") && name.startsWith("qwen")) {
      config.set("num_experts", config.remove("num_local_experts"));
    }
    config.remove("layer_types");
    config.putNull("rope_scaling");
    assertThat(describe(config)).isEqualTo(Families.describe(ModelConfig.read(current)));
  }

  @Test
  void rescaledPositionsOfBothVersionsAreTheSame() throws IOException {
    Path current = SharedFiles.require("models/architectures/llama-gqa-rope3");
    Files.copy(current.resolve("config.v4.json"), folder.resolve(ModelConfig.FILE));
    assertThat(Families.describe(ModelConfig.read(folder)))
        .isEqualTo(Families.describe(ModelConfig.read(current)));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "llama    | hidden_act                                | \"quick_gelu\"",
        "llama    | rope_scaling                              | {\"type\": \"yarn\", \"factor\":"
            + " 4}",
        "qwen2    | rope_scaling                              | {\"type\": \"dynamic\"}",
        "phi3     | rope_scaling                              | {\"type\": \"longrope\"}",
        "mistral  | layer_types                               | [\"chunked_attention\"]",
        "gemma2   | use_bidirectional_attention               | true",
        "opt      | layer_norm_elementwise_affine             | false",
        "opt      | activation_function                       | \"tanh\"",
        "bloom    | apply_residual_connection_post_layernorm  | true",
        "gpt2     | scale_attn_by_inverse_layer_idx           | true",
        "gpt2     | scale_attn_weights                        | false",
        "gpt2     | add_cross_attention                       | true",
        "gpt-neox | attention_bias                            | false"
      })
  void unsupportedSwitchesAreRefusedByName(String architecture, String key, String value) {
    ObjectNode config = TinyConfigs.json(architecture);
    config.set(key, JsonMapper.shared().readTree(value));
    String named = key.equals("rope_scaling") ? "rope_type" : key;
    assertThatThrownBy(() -> describe(config))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining("'" + named + "'")
        .hasMessageContaining("not supported for " + config.get("model_type").stringValue());
  }

  @Test
  void unknownFamilyListsTheKnownOnes() {
    ObjectNode config = TinyConfigs.json("llama").put("model_type", "mamba");
    assertThatThrownBy(() -> describe(config))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'mamba'")
        .hasMessageContaining("bloom, gemma2, gpt2, gpt_neox, llama, mistral, mixtral, opt, phi3,");
  }

  @Test
  void sparseStepDecidesWhichLayersHaveExperts() throws IOException {
    ObjectNode config =
        TinyConfigs.json("qwen3-moe").put("num_hidden_layers", 4).put("decoder_sparse_step", 2);
    assertThat(describe(config).blocks())
        .extracting(block -> block.steps().stream().anyMatch(Step.Route.class::isInstance))
        .containsExactly(false, true, false, true);
  }

  @Test
  void onlyLateLayersOfQwenHaveAWindow() throws IOException {
    ObjectNode config =
        TinyConfigs.json("qwen2")
            .put("use_sliding_window", true)
            .put("sliding_window", 8)
            .put("max_window_layers", 1);
    assertThat(describe(config).blocks()).extracting(FamiliesTest::window).containsExactly(0, 8);
  }

  private static int window(BlockSpec block) {
    return block.steps().stream()
        .filter(Step.Attention.class::isInstance)
        .map(step -> ((Step.Attention) step).spec().window())
        .findFirst()
        .orElseThrow();
  }
}
