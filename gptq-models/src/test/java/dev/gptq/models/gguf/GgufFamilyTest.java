package dev.gptq.models.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.SharedFiles;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.Parameters;
import java.io.IOException;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GgufFamilyTest {
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
    ModelConfig config = config(checkpoint);
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
    assertThat(places).contains(one, "token_embd.weight");
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
    assertThat(GgufFamilies.find("exaone4", 64).getFirst().windows()).isEqualTo(4);
    assertThat(GgufFamilies.find("exaone4", 30).getFirst().windows()).isZero();
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
