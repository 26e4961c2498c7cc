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
    for (String type : new String[] {"glm4", "stablelm"}) {
      assertThat(Server.VLLM.refusalOf("gptq", model(type, false)))
          .hasValueSatisfying(why ->
              assertThat(why).isEqualTo("refuses models of type %s as gptq".formatted(type)));
      assertThat(Server.VLLM.refusalOf("compressed-tensors", model(type, false))).isEmpty();
    }
    assertThat(Server.VLLM.refusalOf("gptq", model("gpt_neox", false))).isEmpty();
  }

  @Test
  void vllmLoadsMixturesAsGptqIfAllExpertsAreQuantized() {
    assertThat(Server.VLLM.refusalOf("gptq", model("qwen3_moe", true))).isPresent();
    assertThat(Server.VLLM.refusalOf("gptq", model("qwen3_moe", false))).isEmpty();
    assertThat(Server.VLLM.refusalOf("compressed-tensors", model("qwen3_moe", true))).isEmpty();
  }
}
