package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Families with Mamba-2 in place of attention, or beside it. */
final class MambaFamilies {
  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          falcon(),
          nemotron("nemotron_h")
              .modules("mixer.up_proj", "ffn_up", "mixer.down_proj", "ffn_down")
              .build(),
          nemotron("nemotron_h_moe")
              .modules(
                  "mixer.gate",
                  "ffn_gate_inp",
                  "mixer.shared_experts.up_proj",
                  "ffn_up_shexp",
                  "mixer.shared_experts.down_proj",
                  "ffn_down_shexp",
                  "mixer.fc1_latent_proj",
                  "ffn_latent_down",
                  "mixer.fc2_latent_proj",
                  "ffn_latent_up")
              .tensor("mixer.gate.e_score_correction_bias", "exp_probs_b.bias")
              .experts("mixer.experts.", "up_proj", "down_proj")
              .whole("expert_count", "n_routed_experts")
              .whole("expert_used_count", "num_experts_per_tok", 2)
              .whole("expert_feed_forward_length", "moe_intermediate_size")
              .whole("expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size")
              .whole("expert_shared_count", "n_shared_experts", 1)
              .whole("expert_group_count", "n_group", 1)
              .whole("expert_group_used_count", "topk_group", 1)
              .product("moe_latent_size", "moe_latent_size")
              .truth("expert_weights_norm", "norm_topk_prob", true)
              .real("expert_weights_scale", "routed_scaling_factor", 1)
              .build());

  private MambaFamilies() {}

  /** Names of Mamba-2's modules and tensors. */
  static GgufFamilyBuilder mamba(GgufFamilyBuilder family, String prefix) {
    return family
        .modules(
            prefix + "in_proj",
            "ssm_in",
            prefix + "conv1d",
            "ssm_conv1d",
            prefix + "norm",
            "ssm_norm",
            prefix + "out_proj",
            "ssm_out")
        .tensor(prefix + "dt_bias", "ssm_dt.bias")
        .tensor(prefix + "A_log", "ssm_a")
        .tensor(prefix + "D", "ssm_d");
  }

  /** The same with the numbers of Falcon-H1 and Granite, and what llama.cpp takes for granted. */
  static GgufFamilyBuilder numbered(GgufFamilyBuilder family) {
    return mamba(family, "mamba.")
        .whole("ssm.conv_kernel", "mamba_d_conv", 4)
        .whole("ssm.state_size", "mamba_d_state", 256)
        .whole("ssm.time_step_rank", "mamba_n_heads", 128)
        .whole("ssm.group_count", "mamba_n_groups", 1)
        .product("ssm.inner_size", "mamba_d_head", "mamba_n_heads")
        .fixed("mamba_conv_bias", true, true)
        .fixed("mamba_proj_bias", false, false);
  }

  /** Factors are in the matrices, so the output layer is never the embedding. */
  private static GgufFamily falcon() {
    return numbered(GgufLayouts.shaped("falcon_h1", "FalconH1ForCausalLM", "falcon-h1"))
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-5)
        .ends(
            "model.embed_tokens",
            "token_embd",
            "model.final_layernorm",
            "output_norm",
            "lm_head",
            "output")
        .without("post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        .modules(
            "feed_forward.gate_proj",
            "ffn_gate",
            "feed_forward.up_proj",
            "ffn_up",
            "feed_forward.down_proj",
            "ffn_down")
        .tensor("pre_ff_layernorm.weight", "ffn_norm")
        .bias("mamba_rms_norm", "ssm_norm.weight")
        .fixed("hidden_act", "silu", "silu")
        .fixed("attention_bias", false, false)
        .fixed("mlp_bias", false, false)
        .fixed("projectors_bias", false, false)
        .ownHead()
        .build();
  }

  /**
   * Blocks of one thing each; attention without positions, whose channels files have in the order
   * of neighbouring pairs all the same.
   */
  private static GgufFamilyBuilder nemotron(String architecture) {
    return mamba(GgufFamily.of("nemotron_h", "NemotronHForCausalLM", architecture), "mixer.")
        .layers("backbone.layers.")
        .ends(
            "backbone.embeddings",
            "token_embd",
            "backbone.norm_f",
            "output_norm",
            "lm_head",
            "output")
        .modules(
            "norm",
            "attn_norm",
            "mixer.q_proj",
            "attn_q",
            "mixer.k_proj",
            "attn_k",
            "mixer.v_proj",
            "attn_v",
            "mixer.o_proj",
            "attn_output")
        .whole("block_count", "num_hidden_layers")
        .whole("context_length", "max_position_embeddings")
        .whole("embedding_length", "hidden_size")
        .whole("feed_forward_length", "intermediate_size")
        .whole("attention.head_count", "num_attention_heads")
        .whole("attention.head_count_kv", "num_key_value_heads")
        .real("attention.layer_norm_rms_epsilon", "layer_norm_epsilon", 1e-5)
        .real("attention.layer_norm_epsilon", "layer_norm_epsilon", 1e-5)
        .whole("ssm.conv_kernel", "conv_kernel", 4)
        .whole("ssm.state_size", "ssm_state_size", 128)
        .whole("ssm.time_step_rank", "mamba_num_heads", 128)
        .whole("ssm.group_count", "n_groups", 8)
        .product("ssm.inner_size", "mamba_head_dim", "mamba_num_heads")
        .fixed("mamba_hidden_act", "silu", "silu")
        .fixed("mlp_hidden_act", "relu2", "relu2")
        .fixed("use_bias", false, false)
        .fixed("use_conv_bias", true, true)
        .fixed("mlp_bias", false, false)
        .fixed("attention_bias", false, false)
        .pairsNeighbours()
        .trait(Trait.MIXED_BLOCKS)
        .trait(Trait.SINGLE_PURPOSE)
        .unrotated(1);
  }
}
