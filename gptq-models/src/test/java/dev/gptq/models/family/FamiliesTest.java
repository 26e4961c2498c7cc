package dev.gptq.models.family;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.primitives.Longs;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.json.JsonConfig;
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
        "gpt-neox",
        "llama-yarn",
        "phi3-longrope",
        "gemma3",
        "smollm3",
        "granite",
        "olmo2",
        "olmo3",
        "cohere",
        "cohere2",
        "glm4",
        "seed-oss",
        "exaone4",
        "hunyuan",
        "ernie4_5",
        "stablelm",
        "starcoder2",
        "phi",
        "nemotron",
        "falcon",
        "gptj",
        "qwen2-moe",
        "glm4-moe",
        "minimax-m2",
        "deepseek-v2",
        "deepseek-v3",
        "qwen3-next",
        "qwen3_5",
        "qwen3_5-moe",
        "lfm2"
      })
  void describesEveryTensorOfACheckpoint(String name) throws IOException {
    Path checkpoint = SharedFiles.architecture(name);
    Map<String, Object> stored = new TreeMap<>();
    try (Checkpoint tensors = Checkpoint.open(checkpoint)) {
      tensors.names().forEach(tensor -> stored.put(tensor, tensors.require(tensor).shape()));
    }
    DecoderSpec spec = Families.describe(ModelConfig.read(checkpoint));
    assertThat(SpecTensors.of(spec)).isEqualTo(stored);
  }

  @ParameterizedTest
  @CsvSource({"gpt2, transformer.", "bloom, transformer.", "opt-post, model.", "llama, model."})
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
          .containsExactlyInAnyOrderElementsOf(fullTensors.names());
      assertThat(SpecTensors.of(Families.describe(config, bareTensors)).keySet())
          .containsExactlyInAnyOrderElementsOf(bareTensors.names());
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
    Path current = SharedFiles.architecture(name);
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
    Path current = SharedFiles.architecture("llama-gqa-rope3");
    Files.copy(current.resolve("config.v4.json"), folder.resolve(ModelConfig.FILE));
    assertThat(Families.describe(ModelConfig.read(folder)))
        .isEqualTo(Families.describe(ModelConfig.read(current)));
  }

  /** As configurations of Qwen2-VL were published. */
  @Test
  void positionsOfThreePartsAreThoseOfOneInTexts() {
    ObjectNode json = TinyConfigs.json("qwen2-vl");
    ModelConfig plain = ModelConfig.of(JsonConfig.of(Path.of(ModelConfig.FILE), json.deepCopy()));
    json.putObject("rope_scaling").put("type", "mrope").putArray("mrope_section").add(2).add(1);
    ModelConfig parts = ModelConfig.of(JsonConfig.of(Path.of(ModelConfig.FILE), json));
    assertThat(Families.describe(parts)).isEqualTo(Families.describe(plain));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "llama    | hidden_act                                | \"quick_gelu\"",
        "llama    | rope_scaling                              | {\"type\": \"mrope\"}",
        "mistral  | layer_types                               | [\"chunked_attention\"]",
        "gemma2   | use_bidirectional_attention               | true",
        "opt      | activation_function                       | \"tanh\"",
        "deepseek | topk_method                               | \"noaux\"",
        "lfm2     | layer_types                               | [\"mamba\"]",
        "olmoe    | clip_qkv                                  | 6.0",
        "k-exaone | mlp_layer_types                           | [\"moe\"]",
        "gemma3   | use_bidirectional_attention               | true",
        "cohere2-moe | expert_selection_fn                    | \"sinkhorn\"",
        "cohere2-moe | shared_expert_combination_strategy     | \"max\"",
        "gpt2     | add_cross_attention                       | true",
        "gemma4   | use_bidirectional_attention               | \"all\"",
        "gemma4   | num_kv_shared_layers                      | 2",
        "gemma4   | per_layer_config                          | {\"0\": {\"sliding_window\": 4}}",
        "gpt-oss  | hidden_act                                | \"gelu\"",
        "granite4 | position_embedding_type                   | \"learned\"",
        "granite4 | layer_types                               | [\"conv\"]",
        "nemotron-h | residual_in_fp32                        | true",
        "nemotron-h | hybrid_override_pattern                 | \"M?\"",
        "falcon-h1  | ssm_multipliers                         | [1]",
        "falcon-h1  | mlp_multipliers                         | [1]",
        "falcon-h1  | time_step_limit                         | [1]",
        "llama4   | layer_types                               | [\"sliding_attention\"]"
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

  /** The towers of a wrapped model are left as they are; its text model has the names it has. */
  @ParameterizedTest
  @CsvSource({
    "gemma3-vlm, language_model.model.layers.0.",
    "mistral3-vlm, language_model.model.layers.0.",
    "qwen3_5-vlm, model.language_model.layers.0."
  })
  void describesTheTextPartOfAWrappedModel(String name, String prefix) throws IOException {
    Path folder = SharedFiles.require("models/architectures/" + name);
    try (Checkpoint tensors = Checkpoint.open(folder)) {
      DecoderSpec spec = Families.describe(ModelConfig.read(folder), tensors);
      assertThat(spec.blocks().getFirst().prefix()).isEqualTo(prefix);
      assertThat(tensors.names()).containsAll(SpecTensors.of(spec).keySet());
      assertThat(tensors.names()).anyMatch(tensor -> tensor.contains("vis"));
    }
  }

  @Test
  void wrappedModelsMayKeepTheTextModelBelowModel() throws IOException {
    ObjectNode text = TinyConfigs.json("llama");
    Path plain = RandomCheckpoint.write(folder.resolve("plain"), text, 5);
    Path wrapped = folder.resolve("wrapped");
    try (Checkpoint source = Checkpoint.open(plain);
        CheckpointWriter writer = CheckpointWriter.create(wrapped, WriterOptions.DEFAULT)) {
      for (String name : source.names()) {
        StoredTensor tensor = source.require(name);
        writer.add(
            name.startsWith("model.") ? "model.language_model." + name.substring(6) : name,
            tensor.type(),
            Longs.toArray(tensor.shape()),
            tensor.data());
      }
      writer.commit();
    }
    ObjectNode outer = JsonMapper.shared().createObjectNode().put("model_type", "any_vl");
    outer.set("text_config", text);
    Files.writeString(folder.resolve(ModelConfig.FILE), outer.toString());
    try (Checkpoint tensors = Checkpoint.open(wrapped)) {
      DecoderSpec spec = Families.describe(ModelConfig.read(folder), tensors);
      assertThat(SpecTensors.of(spec).keySet())
          .containsExactlyInAnyOrderElementsOf(tensors.names());
    }
  }

  @Test
  void longRopeNeedsADivisorForEachPair() {
    ObjectNode config = TinyConfigs.json("phi3");
    config.set(
        "rope_scaling",
        JsonMapper.shared()
            .readTree("{\"type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1]}"));
    assertThatThrownBy(() -> describe(config))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'short_factor' has 1 numbers where 4 channel pairs are rotated");
  }

  /** What the switch adds to is what is normalised, in place. */
  @Test
  void bloomMayAddToWhatIsNormalised() throws IOException {
    ObjectNode config =
        TinyConfigs.json("bloom").put("apply_residual_connection_post_layernorm", true);
    assertThat(describe(config).blocks().getFirst().steps())
        .filteredOn(Step.Norm.class::isInstance)
        .allMatch(step -> ((Step.Norm) step).out().equals("x"));
  }

  @Test
  void gpt2MayScaleScoresByLayer() throws IOException {
    ObjectNode config = TinyConfigs.json("gpt2").put("scale_attn_by_inverse_layer_idx", true);
    assertThat(describe(config).blocks())
        .extracting(FamiliesTest::scale)
        .containsExactly((float) (1 / Math.sqrt(8)), (float) (1 / Math.sqrt(8) / 2));
    config.put("scale_attn_by_inverse_layer_idx", false).put("scale_attn_weights", false);
    assertThat(describe(config).blocks()).extracting(FamiliesTest::scale).containsOnly(1f);
  }

  @Test
  void swishIsSiluInGptOss() throws IOException {
    ObjectNode config = TinyConfigs.json("gpt-oss");
    DecoderSpec expected = describe(config);
    assertThat(describe(config.put("hidden_act", "swish"))).isEqualTo(expected);
  }

  @Test
  void unknownFamilyListsTheKnownOnes() {
    ObjectNode config = TinyConfigs.json("llama").put("model_type", "mamba");
    assertThatThrownBy(() -> describe(config))
        .isInstanceOf(BadInputException.class)
        .hasMessageContaining("'mamba'")
        .hasMessageContaining(
            "bloom, cohere, cohere2, cohere2_moe, cwm, deepseek_v2, deepseek_v3, deepseek_v32, dots1,");
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

  private static float scale(BlockSpec block) {
    return attention(block).scale();
  }

  private static int window(BlockSpec block) {
    return attention(block).window();
  }

  private static AttentionSpec attention(BlockSpec block) {
    return block.steps().stream()
        .filter(Step.Attention.class::isInstance)
        .map(step -> ((Step.Attention) step).spec())
        .findFirst()
        .orElseThrow();
  }
}
