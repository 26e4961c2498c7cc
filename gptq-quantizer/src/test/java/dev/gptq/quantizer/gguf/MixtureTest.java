package dev.gptq.quantizer.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.SharedFiles;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufType;
import dev.gptq.models.Model;
import java.io.IOException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class MixtureTest {
  /** The types of a module in blocks 0, 1, …, as the digits of their names. */
  private static String types(Mixture mixture, String stem, Mixture.Traits traits) {
    return IntStream.range(0, traits.blocks())
        .mapToObj(block -> mixture.of(stem, block, traits).name().substring(1, 2))
        .collect(Collectors.joining());
  }

  @ParameterizedTest
  @CsvSource({
    "Q2_K,   3333333333333333, 3333333333333333, 3333333333333333",
    "Q3_K_S, 3333333333333333, 3333333333333333, 3333333333333333",
    "Q3_K_M, 5544444444444444, 5444444444444444, 4444444444444444",
    "Q3_K_L, 5555555555555555, 5555555555555555, 5555555555555555",
    "Q4_K_S, 5555444444444444, 5544444444444444, 4444444444444444",
    "Q4_K_M, 6644644644644666, 6644644644644666, 4444444444444444",
    "Q5_K_S, 5555555555555555, 5555555555555555, 5555555555555555",
    "Q5_K_M, 6655655655655666, 6655655655655666, 5555555555555555",
    "Q6_K,   6666666666666666, 6666666666666666, 6666666666666666",
  })
  void denseModels(Mixture mixture, String values, String down, String output) {
    Mixture.Traits traits = new Mixture.Traits(16, 0, 2);
    assertThat(types(mixture, "attn_v", traits)).isEqualTo(values);
    assertThat(types(mixture, "attn_qkv", traits)).isEqualTo(values);
    assertThat(types(mixture, "ffn_down", traits)).isEqualTo(down);
    assertThat(types(mixture, "attn_output", traits)).isEqualTo(output);
    for (String stem : new String[] {"attn_q", "attn_k", "ffn_gate", "ffn_up"}) {
      assertThat(types(mixture, stem, traits)).isEqualTo(mixture.name().substring(1, 2).repeat(16));
    }
  }

  @Test
  void fewValuesGetMoreBits() {
    assertThat(Mixture.Q2_K.of("attn_v", 9, new Mixture.Traits(16, 0, 4))).isEqualTo(GgufType.Q4_K);
    Mixture.Traits seventy = new Mixture.Traits(80, 0, 8);
    assertThat(Mixture.Q2_K.of("attn_v", 9, seventy)).isEqualTo(GgufType.Q5_K);
    assertThat(Mixture.Q4_K_M.of("attn_v", 14, seventy)).isEqualTo(GgufType.Q5_K);
    assertThat(Mixture.Q5_K_S.of("attn_v", 14, seventy)).isEqualTo(GgufType.Q5_K);
  }

  @ParameterizedTest
  @EnumSource(Mixture.class)
  void attentionOfEightExpertsCostsNothing(Mixture mixture) {
    Mixture.Traits traits = new Mixture.Traits(32, 8, 4);
    assertThat(mixture.of("attn_v", 20, traits)).isEqualTo(GgufType.Q8_0);
    assertThat(mixture.of("attn_k", 20, traits)).isEqualTo(GgufType.Q8_0);
    assertThat(mixture.of("ffn_down_exps", 31, traits))
        .isEqualTo(mixture.of("ffn_down", 31, new Mixture.Traits(32, 0, 4)));
  }

  /** What llama.cpp chose for the same model. */
  @ParameterizedTest
  @ValueSource(strings = {"Q2_K", "Q3_K_M", "Q4_K_M"})
  void typesAreThoseOfLlamaCpp(String name) throws IOException {
    try (Model model = Model.open(SharedFiles.require("golden/formats/source/wide"));
        GgufFile theirs =
            GgufFile.open(SharedFiles.require("golden/formats/gguf/wide-" + name + ".gguf"))) {
      ImmutableMap<String, GgufType> types =
          Mixture.valueOf(name).types(model, module -> true, false);
      assertThat(types).hasSize(14);
      types.forEach((module, type) -> {
        String tensor = GgufModel.of(model).place(module + ".weight").orElseThrow().name();
        assertThat(type).as(tensor).isEqualTo(theirs.tensors().get(tensor).type());
      });
    }
  }

  @Test
  void narrowRowsGetBlocksOf32() throws IOException {
    try (Model model = Model.open(SharedFiles.architecture("llama-gqa-rope3"))) {
      assertThat(Mixture.Q4_K_M.types(model, module -> true, true).values())
          .containsOnly(GgufType.Q5_0);
      assertThat(Mixture.Q5_K_S.types(model, module -> true, true).values())
          .containsOnly(GgufType.Q5_1);
      assertThat(Mixture.Q6_K.types(model, module -> true, false).values())
          .containsOnly(GgufType.Q8_0);
      assertThat(Mixture.Q2_K.types(model, module -> module.endsWith("q_proj"), false).values())
          .containsOnly(GgufType.Q4_0)
          .hasSize(model.spec().blocks().size());
    }
  }
}
