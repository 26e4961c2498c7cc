package dev.gptq.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.gguf.GgufTensor;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.formats.gguf.GgufWriter;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Elements;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.TinyConfigs;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

class GgufFamilyTest {
  @TempDir Path folder;

  private static ModelConfig config(String checkpoint) throws IOException {
    return ModelConfig.read(SharedFiles.architecture(checkpoint)).text();
  }

  private static GgufFamily family(ModelConfig config, DecoderSpec spec) {
    return GgufFamilies.find(config.modelType(), spec.blocks().size()).getLast();
  }

  @ParameterizedTest
  @CsvSource({
    "gpt-neox, gptneox, blk.0.attn_qkv.weight",
    "starcoder2-small, starcoder2, blk.0.ffn_up.bias",
    "phi-small, phi2, output.bias",
    "gpt2, gpt2, position_embd.weight",
    "bloom, bloom, token_embd_norm.bias",
    "falcon-alibi, falcon, blk.0.attn_norm.bias",
    "nemotron-small, nemotron, blk.0.ffn_norm.bias",
    "olmo-clip, olmo, blk.0.attn_q.weight",
    "seed-oss-small, seed_oss, blk.0.post_attention_norm.weight",
    "ernie4_5-small, ernie4_5, blk.0.ffn_gate.weight",
    "exaone, exaone, blk.0.ffn_gate.weight",
    "arcee, arcee, blk.0.ffn_up.weight",
  })
  void eachTensorHasAPlaceOfItsOwn(String checkpoint, String architecture, String one)
      throws IOException {
    assertThat(places(config(checkpoint), architecture)).contains(one, "token_embd.weight");
  }

  /** The one GLM-4 is the other without norms behind attention and feed-forward. */
  @Test
  void bothKindsOfGlmHavePlaces() {
    ObjectNode json = TinyConfigs.json("glm4");
    assertThat(places(config(json), "glm4")).contains("blk.1.post_ffw_norm.weight");
    assertThat(places(config(json.put("model_type", "glm")), "chatglm"))
        .contains("blk.1.attn_q.bias", "blk.1.ffn_up.weight", "blk.1.ffn_norm.weight")
        .doesNotContain("blk.1.post_ffw_norm.weight");
  }

  private static ModelConfig config(ObjectNode json) {
    return ModelConfig.of(JsonConfig.of(Path.of(ModelConfig.FILE), json));
  }

  /** The places of all tensors, of which each has its own. */
  private static Set<String> places(ModelConfig config, String architecture) {
    DecoderSpec spec = Families.describe(config);
    GgufFamily family = family(config, spec);
    assertThat(family.architecture()).isEqualTo(architecture);
    Set<String> places = new HashSet<>();
    for (String tensor : Parameters.of(spec).tensors().keySet()) {
      // What llama.cpp has no place for in these: norms and biases that switches turn on.
      Optional<GgufPlace> place = GgufPlace.find(family, tensor);
      if (!tensor.contains("layernorm.") || place.isPresent()) {
        assertThat(place).as(tensor).isPresent();
        assertThat(places.add(place.get().name())).as(tensor).isTrue();
      }
    }
    return places;
  }

  /** Norms of heads that are tensors of their own are rows of one in the file. */
  @Test
  void normsOfSingleHeadsAreParts() throws IOException {
    ModelConfig config =
        ModelConfig.of(config("stablelm-small").with(Map.of("qk_layernorm", true)));
    DecoderSpec spec = Families.describe(config);
    GgufFamily family = family(config, spec);
    for (String name : Parameters.of(spec).tensors().keySet()) {
      assertThat(GgufPlace.find(family, name)).as(name).isPresent();
    }
    assertThat(GgufPlace.find(family, "model.layers.1.self_attn.k_layernorm.norms.1.weight"))
        .contains(new GgufPlace("blk.1.attn_k_norm.weight", "attn_k_norm", 1));
  }

  /** What a file does not say is what llama.cpp takes for it. */
  @Test
  void aFileThatSaysLittleIsReadAsLlamaCppReadsIt() throws IOException {
    JsonNode glm = read("chatglm", Map.of());
    assertThat(glm.path("model_type").asString()).isEqualTo("glm");
    assertThat(glm.path("head_dim").asInt()).isEqualTo(16);
    assertThat(glm.path("attention_bias").asBoolean()).isFalse();
    assertThat(glm.at("/rope_parameters/partial_rotary_factor").asDouble()).isEqualTo(1);
    assertThat(read("olmo2", Map.of()).path("model_type").asString()).isEqualTo("olmo2");
    JsonNode olmo = read("olmo2", Map.of("attention.sliding_window", 8, "rope.freq_base", 500));
    assertThat(olmo.path("model_type").asString()).isEqualTo("olmo3");
    assertThat(olmo.path("sliding_window").asInt()).isEqualTo(8);
    assertThat(olmo.path("layer_types").values().stream().map(JsonNode::asString))
        .containsExactly(
            "sliding_attention", "sliding_attention", "sliding_attention", "full_attention");
    assertThat(olmo.at("/rope_parameters/sliding_attention/rope_theta").asDouble()).isEqualTo(500);
  }

  /** Files of the text models of those that see say what is of use with the other half only. */
  @Test
  void partsOfPositionsAreKept() throws IOException {
    GgufMetadata sections = new GgufMetadata();
    sections.putInts("qwen3vl.rope.dimension_sections", ImmutableList.of(3, 2, 3, 0));
    JsonNode qwen = read("qwen3vl", sections, Map.of("n_deepstack_layers", 2));
    assertThat(qwen.path("model_type").asString()).isEqualTo("qwen3_vl_text");
    assertThat(qwen.at("/rope_parameters/mrope_section").values().stream().map(JsonNode::asInt))
        .containsExactly(3, 2, 3);
    assertThat(qwen.at("/rope_parameters/rope_type").asString()).isEqualTo("default");
    assertThat(qwen.path("n_deepstack_layers").asInt()).isEqualTo(2);
    assertThat(read("qwen2vl", Map.of()).path("model_type").asString()).isEqualTo("qwen2_vl_text");
  }

  /** Blocks without an indexer take what that of an earlier one chose. */
  @Test
  void indexersMayBeShared() throws IOException {
    Map<String, Integer> more =
        Map.of(
            "expert_count",
            4,
            "expert_gating_func",
            2,
            "rope.dimension_count",
            8,
            "attention.key_length_mla",
            24,
            "attention.value_length_mla",
            16);
    JsonNode glm =
        read(
            "glm-dsa",
            new GgufMetadata(),
            more,
            "blk.0.indexer.attn_k.weight",
            "blk.2.indexer.attn_k.weight");
    assertThat(glm.path("model_type").asString()).isEqualTo("glm_moe_dsa");
    assertThat(glm.path("indexer_types").values().stream().map(JsonNode::asString))
        .containsExactly("full", "shared", "full", "shared");
  }

  /** By what queries grow, and the factor on cosine and sine that llama.cpp makes of one number. */
  @Test
  void queriesThatGrowAreReadWithTheScaleOfYarn() throws IOException {
    JsonNode mistral =
        read(
            "mistral3",
            "yarn",
            Map.of("attention.temperature_scale", 3, "rope.scaling.yarn_log_multiplier", 1));
    assertThat(mistral.path("model_type").asString()).isEqualTo("ministral3");
    assertThat(mistral.at("/rope_parameters/llama_4_scaling_beta").asDouble()).isEqualTo(3);
    assertThat(mistral.at("/rope_parameters/rope_type").asString()).isEqualTo("yarn");
    assertThat(mistral.at("/rope_parameters/mscale").asDouble()).isEqualTo(1);
    assertThat(mistral.at("/rope_parameters/mscale_all_dim").asDouble()).isEqualTo(1);
  }

  /** The configuration of four blocks with four heads of 16 channels. */
  private JsonNode read(String architecture, Map<String, Integer> more) throws IOException {
    return read(architecture, "none", more);
  }

  private JsonNode read(String architecture, String scaling, Map<String, Integer> more)
      throws IOException {
    GgufMetadata metadata = new GgufMetadata();
    metadata.put(architecture + ".rope.scaling.type", scaling);
    return read(architecture, metadata, more);
  }

  private JsonNode read(
      String architecture, GgufMetadata metadata, Map<String, Integer> more, String... tensors)
      throws IOException {
    metadata.put("general.architecture", architecture);
    metadata.put(architecture + ".block_count", 4);
    metadata.put(architecture + ".embedding_length", 64);
    metadata.put(architecture + ".attention.head_count", 4);
    more.forEach((key, value) -> metadata.put(architecture + "." + key, value.intValue()));
    List<GgufTensor> all =
        Stream.concat(Stream.of("token_embd.weight"), Stream.of(tensors))
            .map(name ->
                new GgufTensor(
                    name,
                    GgufType.F32,
                    ImmutableList.of(1L, 2L),
                    ImmutableList.of(() -> Elements.toSegment(new float[] {1, 2}))))
            .toList();
    Path path = folder.resolve(architecture + more.size() + ".gguf");
    GgufWriter.write(path, metadata, all, false);
    try (GgufFile file = GgufFile.open(path)) {
      return GgufConfig.of(file, GgufFamilies.of(file));
    }
  }

  /** Rows are queries, keys and values of all heads in the file, of one head in the checkpoint. */
  @Test
  void fusedRowsGoThereAndBack() throws IOException {
    ModelConfig config = config("bloom");
    DecoderSpec spec = Families.describe(config);
    GgufOrder order = GgufOrder.of(family(config, spec), spec, config.headDim());
    int hidden = spec.hidden();
    int size = config.headDim();
    GgufOrder.Rows rows =
        order.rows("transformer.h.0.self_attention.query_key_value").orElseThrow();
    assertThat(rows.inCheckpoint(0)).isZero();
    assertThat(rows.inCheckpoint(size)).isEqualTo(3 * size);
    assertThat(rows.inCheckpoint(hidden)).isEqualTo(size);
    assertThat(rows.inCheckpoint(2 * hidden + size + 1)).isEqualTo(5 * size + 1);
    int[] all = IntStream.range(0, 3 * hidden).toArray();
    assertThat(IntStream.of(all).map(rows::inCheckpoint).map(rows::inFile).toArray())
        .isEqualTo(all);
    assertThat(rows.fits(3 * hidden)).isTrue();
    assertThat(rows.fits(2 * hidden)).isFalse();
    assertThat(order.rows("transformer.h.0.self_attention.dense")).isEmpty();
  }

  /** What llama.cpp takes for granted of a model differs with its blocks. */
  @Test
  void kindsOfOneTypeAreToldApart() {
    assertThat(GgufFamilies.find("exaone4", 64).getFirst().periods().windows()).isEqualTo(4);
    assertThat(GgufFamilies.find("exaone4", 30).getFirst().periods().windows()).isZero();
    assertThat(GgufFamilies.find("cohere", 40).getFirst().modules())
        .doesNotContainKey("self_attn.q_norm");
    assertThat(GgufFamilies.find("cohere", 64).getFirst().modules())
        .containsKey("self_attn.q_norm");
    assertThat(
            GgufFamilies.find("falcon", 2).stream()
                .map(GgufFamily::marker)
                .collect(ImmutableList.toImmutableList()))
        .containsExactly("attn_norm_2.weight", "");
  }
}
