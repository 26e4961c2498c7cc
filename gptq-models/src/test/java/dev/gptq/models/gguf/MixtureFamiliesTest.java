package dev.gptq.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.Parameters;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Where tensors of families with experts and of hybrids stand in a file. */
class MixtureFamiliesTest {

  @ParameterizedTest
  @CsvSource({
    "gpt-oss-small, gpt-oss, mlp.experts.2.down_proj.bias, ffn_down_exps.bias, 2",
    "gpt-oss-small, gpt-oss, self_attn.sinks, attn_sinks.weight, -1",
    "dots1, dots1, mlp.gate.e_score_correction_bias, exp_probs_b.bias, -1",
    "olmoe, olmoe, self_attn.q_norm.weight, attn_q_norm.weight, -1",
    "granite-moe-small, granitemoe, block_sparse_moe.experts.1.w3.weight, ffn_up_exps.weight, 1",
    "ernie4_5-moe-small, ernie4_5-moe, mlp.shared_experts.up_proj.weight, ffn_up_shexp.weight, -1",
    "minimax-m2-small, minimax-m2, block_sparse_moe.gate.weight, ffn_gate_inp.weight, -1",
    "afmoe, afmoe, self_attn.gate_proj.weight, attn_gate.weight, -1",
    "hunyuan-moe, hunyuan-moe, mlp.shared_mlp.up_proj.weight, ffn_up_shexp.weight, -1",
    "k-exaone, exaone-moe, mlp.e_score_correction_bias, exp_probs_b.bias, -1",
    "cohere2-moe, cohere2moe, mlp.experts.1.gate_proj.weight, ffn_gate_exps.weight, 1",
    "solar-open, glm4moe, post_attention_layernorm.weight, post_attention_norm.weight, -1",
    "glm4-moe-lite, deepseek2, self_attn.kv_a_layernorm.weight, attn_kv_a_norm.weight, -1",
    "mistral4, mistral4, self_attn.q_b_proj.weight, attn_q_b.weight, -1",
    "youtu, deepseek2, mlp.up_proj.weight, ffn_up.weight, -1",
    "minicpm3, minicpm3, self_attn.kv_b_proj.weight, attn_kv_b.weight, -1",
    "llama4-small, llama4, feed_forward.experts.1.up_proj.weight, ffn_up_exps.weight, 1",
    "gemma4-small, gemma4, layer_scalar, layer_output_scale.weight, -1",
    "qwen3-vl-moe, qwen3vlmoe, mlp.experts.1.up_proj.weight, ffn_up_exps.weight, 1",
    "ministral3, mistral3, self_attn.q_proj.weight, attn_q.weight, -1",
    "lfm2-moe, lfm2moe, feed_forward.experts.0.w2.weight, ffn_down_exps.weight, 0",
  })
  void eachTensorHasAPlace(
      String checkpoint, String architecture, String tensor, String inFile, int expert)
      throws IOException {
    ModelConfig config = ModelConfig.read(SharedFiles.architecture(checkpoint)).text();
    DecoderSpec spec = Families.describe(config);
    GgufFamily family = GgufFamilies.find(config.modelType(), spec.blocks().size()).getLast();
    assertThat(family.architecture()).isEqualTo(architecture);
    for (String name : Parameters.of(spec).tensors().keySet()) {
      assertThat(GgufPlace.find(family, name)).as(name).isPresent();
    }
    GgufPlace place = GgufPlace.find(family, "model.layers.1." + tensor).orElseThrow();
    assertThat(place.name()).isEqualTo("blk.1." + inFile);
    assertThat(place.expert()).isEqualTo(expert);
  }

  /** Of two heads with two unrotated channels, values of one channel, and a latent of three. */
  @Test
  void halvesOfALatentBecomeOneMatrix() {
    StoredTensor keys = tensor("model.layers.0.self_attn.k_b_proj.weight", 2, 3, 2);
    StoredTensor values = tensor("model.layers.0.self_attn.v_b_proj.weight", 2, 1, 3);
    ImmutableMap<String, StoredTensor> joined =
        LatentHalves.joined(ImmutableMap.of(keys.name(), keys, values.name(), values));
    assertThat(joined).containsOnlyKeys("model.layers.0.self_attn.kv_b_proj.weight");
    StoredTensor matrix = joined.values().iterator().next();
    assertThat(matrix.shape()).containsExactly(6L, 3L);
    float[] found = new float[18];
    for (int i = 0; i < found.length; i++) {
      found[i] = Elements.get(matrix, i);
    }
    assertThat(found)
        .containsExactly(
            0, 2, 4, 1, 3, 5, 0, 1, 2, // channels of the first head's key, then its value
            6, 8, 10, 7, 9, 11, 3, 4, 5);
  }

  private static StoredTensor tensor(String name, long... shape) {
    int count = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    float[] numbers = new float[count];
    IntStream.range(0, count).forEach(i -> numbers[i] = i);
    ImmutableList<Long> sizes =
        Arrays.stream(shape).boxed().collect(ImmutableList.toImmutableList());
    return new StoredTensor(name, StoredType.F32, sizes, Path.of("x"), Elements.toSegment(numbers));
  }
}
