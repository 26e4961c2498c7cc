package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Families with something else than attention in some blocks. */
final class HybridFamilies {
  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          lfm("lfm2", "Lfm2ForCausalLM", "lfm2").build(),
          lfm("lfm2_moe", "Lfm2MoeForCausalLM", "lfm2moe")
              .modules("feed_forward.gate", "ffn_gate_inp")
              .tensor("feed_forward.expert_bias", "exp_probs_b.bias")
              .experts("feed_forward.experts.", "w1", "w3", "w2")
              .whole("expert_count", "num_experts")
              .whole("expert_used_count", "num_experts_per_tok")
              .whole("expert_feed_forward_length", "moe_intermediate_size")
              .whole("leading_dense_block_count", "num_dense_layers")
              .constant("expert_gating_func", MixtureFamilies.SIGMOID)
              .fixed("norm_topk_prob", true, true)
              .fixed("use_expert_bias", true, true)
              .oneOf("routed_scaling_factor", 1.0, 1.0, 1)
              .build());

  private HybridFamilies() {}

  private static GgufFamilyBuilder lfm(String type, String modelClass, String architecture) {
    return GgufLayouts.shaped(type, modelClass, architecture)
        .real("attention.layer_norm_rms_epsilon", "norm_eps", 1e-5)
        .whole("shortconv.l_cache", "conv_L_cache", 3)
        .ends(
            "model.embed_tokens",
            "token_embd",
            "model.embedding_norm",
            "token_embd_norm",
            "lm_head",
            "output")
        .without(
            "input_layernorm",
            "post_attention_layernorm",
            "self_attn.o_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj")
        .modules(
            "operator_norm",
            "attn_norm",
            "ffn_norm",
            "ffn_norm",
            "self_attn.out_proj",
            "attn_output",
            "self_attn.q_layernorm",
            "attn_q_norm",
            "self_attn.k_layernorm",
            "attn_k_norm",
            "conv.in_proj",
            "shortconv.in_proj",
            "conv.conv",
            "shortconv.conv",
            "conv.out_proj",
            "shortconv.out_proj",
            "feed_forward.w1",
            "ffn_gate",
            "feed_forward.w3",
            "ffn_up",
            "feed_forward.w2",
            "ffn_down")
        .fixed("conv_bias", false, false)
        .trait(Trait.MIXED_BLOCKS)
        .trait(Trait.WHOLE_HEADS);
  }
}
