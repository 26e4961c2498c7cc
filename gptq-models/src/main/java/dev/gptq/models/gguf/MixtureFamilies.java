package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;

/** Families with experts. */
final class MixtureFamilies {
  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          GgufLayouts.llamaLike("mixtral", "MixtralForCausalLM", "llama")
              .pairsNeighbours()
              .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
              .modules("block_sparse_moe.gate", "ffn_gate_inp")
              .experts("block_sparse_moe.experts.", "w1", "w3", "w2")
              .whole("expert_count", "num_local_experts")
              .whole("expert_used_count", "num_experts_per_tok")
              .build(),
          qwenExperts(GgufLayouts.llamaLike("qwen2_moe", "Qwen2MoeForCausalLM", "qwen2moe"))
              .modules(
                  "mlp.shared_expert.gate_proj",
                  "ffn_gate_shexp",
                  "mlp.shared_expert.up_proj",
                  "ffn_up_shexp",
                  "mlp.shared_expert.down_proj",
                  "ffn_down_shexp",
                  "mlp.shared_expert_gate",
                  "ffn_gate_inp_shexp")
              .whole("expert_shared_feed_forward_length", "shared_expert_intermediate_size")
              .ownHead()
              .fixed("norm_topk_prob", false, false)
              .bias("qkv_bias", "attn_q.bias")
              .build(),
          qwenExperts(GgufLayouts.llamaLike("qwen3_moe", "Qwen3MoeForCausalLM", "qwen3moe"))
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .fixed("norm_topk_prob", true, false)
              .bias("attention_bias", "attn_q.bias")
              .build());

  private MixtureFamilies() {}

  private static GgufFamily.Builder qwenExperts(GgufFamily.Builder family) {
    return family
        .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        .modules("mlp.gate", "ffn_gate_inp")
        .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
        .whole("expert_count", "num_experts")
        .whole("expert_used_count", "num_experts_per_tok")
        .whole("expert_feed_forward_length", "moe_intermediate_size");
  }
}
