package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Families with Gated DeltaNet in most blocks, and attention whose output is gated in others. */
final class DeltaFamilies {
  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          mixture(delta("qwen3_next", "Qwen3NextForCausalLM", "qwen3next"))
              .modules(
                  "linear_attn.in_proj_qkvz",
                  "attn_qkv",
                  "linear_attn.in_proj_qkvz" + GgufOrder.Cut.LAST,
                  "attn_gate",
                  "linear_attn.in_proj_ba",
                  "ssm_ba")
              .fixed("norm_topk_prob", true, true)
              .build(),
          apart(delta("qwen3_5_text", "Qwen3_5ForCausalLM", "qwen35")).build(),
          apart(mixture(delta("qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", "qwen35moe"))).build());

  private DeltaFamilies() {}

  private static GgufFamilyBuilder delta(String type, String modelClass, String architecture) {
    return GgufLayouts.llamaLike(type, modelClass, architecture)
        .normsPlusOne()
        .modules(
            "post_attention_layernorm",
            "post_attention_norm",
            "self_attn.q_norm",
            "attn_q_norm",
            "self_attn.k_norm",
            "attn_k_norm",
            "linear_attn.conv1d",
            "ssm_conv1d",
            "linear_attn.norm",
            "ssm_norm",
            "linear_attn.out_proj",
            "ssm_out")
        .tensor("linear_attn.dt_bias", "ssm_dt.bias")
        .tensor("linear_attn.A_log", "ssm_a")
        .whole("ssm.conv_kernel", "linear_conv_kernel_dim", 4)
        .whole("ssm.state_size", "linear_key_head_dim", 128)
        .whole("ssm.group_count", "linear_num_key_heads", 16)
        .whole("ssm.time_step_rank", "linear_num_value_heads", 32)
        .product("ssm.inner_size", "linear_value_head_dim", "linear_num_value_heads")
        .whole("full_attention_interval", "full_attention_interval")
        .fixed("attention_bias", false, false)
        .trait(Trait.PARTLY_ROTATED)
        .trait(Trait.INTERVAL);
  }

  private static GgufFamilyBuilder mixture(GgufFamilyBuilder family) {
    return MixtureFamilies.sharedExpert(MixtureFamilies.qwenExperts(family));
  }

  /** Heads of values that share a key lie apart in a file, and positions have four parts. */
  private static GgufFamilyBuilder apart(GgufFamilyBuilder family) {
    return family
        .modules(
            "linear_attn.in_proj_qkv",
            "attn_qkv",
            "linear_attn.in_proj_z",
            "attn_gate",
            "linear_attn.in_proj_b",
            "ssm_beta",
            "linear_attn.in_proj_a",
            "ssm_alpha")
        .trait(Trait.TILED_VALUES)
        .trait(Trait.SECTIONED);
  }
}
