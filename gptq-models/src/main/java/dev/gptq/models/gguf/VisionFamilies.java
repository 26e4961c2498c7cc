package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;
import java.util.stream.Stream;

/** The text models of those that see, whose other half llama.cpp has in a file of its own. */
final class VisionFamilies {
  static final ImmutableList<GgufFamily> ALL =
      Stream.of(
              qwen2("qwen2_vl_text", "Qwen2VLTextModel"),
              qwen2("qwen2_vl", "Qwen2VLForConditionalGeneration"),
              qwen2("qwen2_5_vl_text", "Qwen2_5_VLTextModel"),
              qwen2("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"),
              qwen3("qwen3_vl_text", "Qwen3VLTextModel", "qwen3vl"),
              MixtureFamilies.qwenExperts(
                      qwen3("qwen3_vl_moe_text", "Qwen3VLMoeTextModel", "qwen3vlmoe"))
                  .fixed("norm_topk_prob", true, true))
          .map(family -> family.trait(Trait.SECTIONED).build())
          .collect(ImmutableList.toImmutableList());

  private VisionFamilies() {}

  private static GgufFamilyBuilder qwen2(String type, String modelClass) {
    return GgufLayouts.llamaLike(type, modelClass, "qwen2vl")
        .bias("qkv_bias", "attn_q.bias")
        .trait(Trait.WHOLE_HEADS);
  }

  private static GgufFamilyBuilder qwen3(String type, String modelClass, String architecture) {
    return GgufLayouts.llamaLike(type, modelClass, architecture)
        .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
        .bias("attention_bias", "attn_q.bias")
        .whole(GgufFamily.DEEP, GgufFamily.DEEP);
  }
}
