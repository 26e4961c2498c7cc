package dev.gptq.quantizer.export;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import org.junit.jupiter.api.Test;

final class ServerTest {
  private static Served model(String type, boolean partialExperts) {
    return new Served(
        type,
        ImmutableSet.of(),
        partialExperts,
        partialExperts,
        partialExperts,
        false,
        false,
        ImmutableList.of());
  }

  /** Seen with release 0.32: its own code for these families stops. */
  @Test
  void familiesThatVllmRunsInSomeFormatsOnly() {
    for (String type : new String[] {"falcon_h1", "glm4", "minicpm3", "stablelm"}) {
      assertThat(Server.VLLM.refusalOf("gptq", model(type, false)))
          .hasValueSatisfying(why ->
              assertThat(why).isEqualTo("refuses models of type %s as gptq".formatted(type)));
      assertThat(Server.VLLM.refusalOf("compressed-tensors", model(type, false))).isEmpty();
    }
    assertThat(Server.VLLM.refusalOf("gptq", model("gpt_neox", false))).isEmpty();
  }

  /** Seen with release 0.32 as well. */
  @Test
  void familiesThatVllmComputesAsOthersOrNotAtAll() {
    for (String format : new String[] {"gptq", "compressed-tensors", "awq"}) {
      assertThat(Server.VLLM.refusalOf(format, model("bloom", false)))
          .contains("refuses quantized models of type bloom");
      assertThat(Server.VLLM.refusalOf(format, model("ministral3", false)).orElseThrow())
          .contains("original_max_position_embeddings");
      assertThat(Server.VLLM.refusalOf(format, model("granitemoe", true)).orElseThrow())
          .contains("leaves out quantized experts");
      assertThat(Server.VLLM.refusalOf(format, model("granitemoe", false))).isEmpty();
    }
  }

  /** Seen with release 5.24. */
  @Test
  void familiesWhoseLayersTransformersDoesNotReplace() {
    Served falcon = model("falcon", false);
    assertThat(Server.TRANSFORMERS.refusalOf("gptq", falcon))
        .contains("leaves out quantized layers of Falcon, with a warning only");
    assertThat(Server.TRANSFORMERS.losesSilently("gptq", falcon)).isTrue();
    assertThat(Server.TRANSFORMERS.losesSilently("compressed-tensors", falcon)).isFalse();
    assertThat(Server.TRANSFORMERS.refusalOf("compressed-tensors", falcon)).isPresent();
    Served gpt2 = model("gpt2", false);
    assertThat(Server.TRANSFORMERS.refusalOf("gptq", gpt2)).isPresent();
    assertThat(Server.TRANSFORMERS.refusalOf("compressed-tensors", gpt2))
        .contains("leaves out quantized layers of GPT-2, with a warning only");
  }

  @Test
  void vllmLoadsMixturesAsGptqIfAllExpertsAreQuantized() {
    assertThat(Server.VLLM.refusalOf("gptq", model("qwen3_moe", true))).isPresent();
    assertThat(Server.VLLM.refusalOf("gptq", model("qwen3_moe", false))).isEmpty();
    assertThat(Server.VLLM.refusalOf("compressed-tensors", model("qwen3_moe", true))).isEmpty();
  }
}
