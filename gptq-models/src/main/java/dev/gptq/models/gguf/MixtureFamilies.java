package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Families with experts. */
final class MixtureFamilies {
  /** How scores of experts become weights, by llama.cpp's numbers. */
  static final int SOFTMAX = 1;

  static final int SIGMOID = 2;

  static final String GATING = "expert_gating_func";

  private static final String[] SHARED = {
    "mlp.shared_experts.gate_proj", "ffn_gate_shexp",
    "mlp.shared_experts.up_proj", "ffn_up_shexp",
    "mlp.shared_experts.down_proj", "ffn_down_shexp"
  };

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
          sharedExpert(
                  qwenExperts(
                      GgufLayouts.llamaLike("qwen2_moe", "Qwen2MoeForCausalLM", "qwen2moe")))
              .ownHead()
              .fixed("norm_topk_prob", false, false)
              .bias("qkv_bias", "attn_q.bias")
              .build(),
          qwenExperts(GgufLayouts.llamaLike("qwen3_moe", "Qwen3MoeForCausalLM", "qwen3moe"))
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .fixed("norm_topk_prob", true, false)
              .bias("attention_bias", "attn_q.bias")
              .build(),
          glm("glm4_moe", "Glm4MoeForCausalLM"),
          glm("solar_open", "SolarOpenForCausalLM"),
          sigmoid("dots1", "Dots1ForCausalLM", "dots1")
              .truth("expert_weights_norm", "norm_topk_prob", false)
              .trait(Trait.SINGLE_KEYS)
              .fixed("attention_bias", false, false)
              .ownHead()
              .build(),
          plainExperts(GgufLayouts.shaped("olmoe", "OlmoeForCausalLM", "olmoe"))
              .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-5)
              .fixed("hidden_act", "silu", "silu")
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .fixed("norm_topk_prob", false, false)
              .fixed("attention_bias", false, false)
              .trait(Trait.WHOLE_HEADS)
              .trait(Trait.SINGLE_KEYS)
              .ownHead()
              .build(),
          GgufLayouts.llamaLike("ernie4_5_moe", "Ernie4_5_MoeForCausalLM", "ernie4_5-moe")
              .modules("mlp.gate", "ffn_gate_inp")
              .modules(SHARED)
              .tensor("mlp.moe_statics.e_score_correction_bias", "exp_probs_b.bias")
              .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
              .whole("expert_count", "moe_num_experts", "num_experts")
              .whole("expert_used_count", "moe_k", "num_experts_per_tok")
              .whole("expert_feed_forward_length", "moe_intermediate_size")
              .whole("expert_shared_count", "moe_num_shared_experts", 2)
              .product(
                  "expert_shared_feed_forward_length",
                  "moe_num_shared_experts",
                  "moe_intermediate_size")
              .whole("leading_dense_block_count", "moe_layer_start_index")
              .constant("interleave_moe_layer_step", 1)
              .fixed("use_bias", false, false)
              .build(),
          GgufLayouts.llamaLike("minimax_m2", "MiniMaxM2ForCausalLM", "minimax-m2")
              .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .modules("block_sparse_moe.gate", "ffn_gate_inp")
              .tensor("block_sparse_moe.e_score_correction_bias", "exp_probs_b.bias")
              .experts("block_sparse_moe.experts.", "w1", "w3", "w2")
              .whole("expert_count", "num_local_experts", "num_experts")
              .whole("expert_used_count", "num_experts_per_tok")
              .whole("expert_feed_forward_length", "intermediate_size")
              .constant(GATING, SIGMOID)
              .ownHead()
              .build(),
          GgufLayouts.llamaLike("afmoe", "AfmoeForCausalLM", "afmoe")
              .modules(
                  "self_attn.q_norm",
                  "attn_q_norm",
                  "self_attn.k_norm",
                  "attn_k_norm",
                  "self_attn.gate_proj",
                  "attn_gate",
                  "post_attention_layernorm",
                  "post_attention_norm",
                  "pre_mlp_layernorm",
                  "ffn_norm",
                  "post_mlp_layernorm",
                  "post_ffw_norm",
                  "mlp.router.gate",
                  "ffn_gate_inp")
              .modules(SHARED)
              .tensor("mlp.expert_bias", "exp_probs_b.bias")
              .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
              .whole("expert_count", "num_experts")
              .whole("expert_used_count", "num_experts_per_tok")
              .whole("expert_feed_forward_length", "moe_intermediate_size")
              .whole("expert_shared_count", "num_shared_experts", 2)
              .whole("leading_dense_block_count", "num_dense_layers")
              .real("expert_weights_scale", "route_scale", 1)
              .truth("expert_weights_norm", "route_norm", true)
              .constant(GATING, SIGMOID)
              .fixed("route_norm", true, true)
              .fixed("mup_enabled", true, false)
              .fixed("attention_bias", false, false)
              .windows(4)
              .unrotated(4)
              .build(),
          GgufLayouts.common("gpt_oss", "GptOssForCausalLM", "gpt-oss")
              .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
              .modules(
                  "post_attention_layernorm", "post_attention_norm", "mlp.router", "ffn_gate_inp")
              .tensor("self_attn.sinks", "attn_sinks.weight")
              .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
              .whole("expert_count", "num_local_experts", "num_experts")
              .whole("expert_used_count", "num_experts_per_tok")
              .whole("expert_feed_forward_length", "intermediate_size")
              .fixed("attention_bias", true, true)
              .fixed("swiglu_alpha", 1.702, 1.702)
              .oneOf("swiglu_limit", 7.0, 7.0, 7)
              .trait(Trait.YARN)
              .trait(Trait.FRACTIONAL_YARN)
              .windows(2)
              .ownHead()
              .build(),
          GgufLayouts.llamaLike("hunyuan_v1_moe", "HunYuanMoEV1ForCausalLM", "hunyuan-moe")
              .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
              .modules(
                  "self_attn.query_layernorm",
                  "attn_q_norm",
                  "self_attn.key_layernorm",
                  "attn_k_norm",
                  "mlp.gate.wg",
                  "ffn_gate_inp",
                  "mlp.shared_mlp.gate_proj",
                  "ffn_gate_shexp",
                  "mlp.shared_mlp.up_proj",
                  "ffn_up_shexp",
                  "mlp.shared_mlp.down_proj",
                  "ffn_down_shexp")
              .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
              .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-5)
              .whole("expert_count", "num_experts")
              .whole("expert_used_count", "moe_topk", 1)
              .whole("expert_feed_forward_length", "intermediate_size")
              .whole("expert_shared_feed_forward_length", "intermediate_size")
              .constant("expert_shared_count", 1)
              .fixed("attention_bias", false, false)
              .build(),
          llama4(),
          exaone(),
          command(SIGMOID, "sigmoid").build(),
          command(SOFTMAX, "softmax").fixed("norm_topk_prob", true, true).build());

  private MixtureFamilies() {}

  /** Experts as DeepSeek V3 has them, with attention as in Qwen 3. */
  private static GgufFamilyBuilder sigmoid(String type, String modelClass, String architecture) {
    return deepSeekExperts(GgufLayouts.llamaLike(type, modelClass, architecture))
        .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
        .tensor("mlp.gate.e_score_correction_bias", "exp_probs_b.bias")
        .whole("expert_group_count", "n_group", 1)
        .whole("expert_group_used_count", "topk_group", 1)
        .constant(GATING, SIGMOID);
  }

  static GgufFamilyBuilder deepSeekExperts(GgufFamilyBuilder family) {
    return family
        .modules("mlp.gate", "ffn_gate_inp")
        .modules(SHARED)
        .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
        .whole("expert_count", "n_routed_experts")
        .whole("expert_used_count", "num_experts_per_tok")
        .whole("expert_feed_forward_length", "moe_intermediate_size")
        .whole("expert_shared_count", "n_shared_experts", 1)
        .whole("leading_dense_block_count", "first_k_dense_replace")
        .real("expert_weights_scale", "routed_scaling_factor", 1);
  }

  private static GgufFamily glm(String type, String modelClass) {
    return sigmoid(type, modelClass, "glm4moe")
        .modules("post_attention_layernorm", "post_attention_norm")
        .truth("expert_weights_norm", "norm_topk_prob", true)
        .trait(Trait.PARTLY_ROTATED)
        .bias("use_qk_norm", "attn_q_norm.weight")
        .bias("attention_bias", "attn_q.bias")
        .ownHead()
        .build();
  }

  /** Channels that turn together lie side by side in checkpoints, too. */
  private static GgufFamily llama4() {
    return GgufLayouts.llamaLike("llama4_text", "Llama4ForCausalLM", "llama4")
        .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        .modules(
            "feed_forward.gate_proj",
            "ffn_gate",
            "feed_forward.up_proj",
            "ffn_up",
            "feed_forward.down_proj",
            "ffn_down",
            "feed_forward.router",
            "ffn_gate_inp",
            "feed_forward.shared_expert.gate_proj",
            "ffn_gate_shexp",
            "feed_forward.shared_expert.up_proj",
            "ffn_up_shexp",
            "feed_forward.shared_expert.down_proj",
            "ffn_down_shexp")
        .experts("feed_forward.experts.", "gate_proj", "up_proj", "down_proj")
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-5)
        .whole("feed_forward_length", "intermediate_size_mlp")
        .whole("expert_feed_forward_length", "intermediate_size")
        .whole("expert_count", "num_local_experts")
        .whole("expert_used_count", "num_experts_per_tok", 1)
        .whole("interleave_moe_layer_step", "interleave_moe_layer_step", 1)
        .fixed("attention_chunk_size", 8192, 8192)
        .oneOf("floor_scale", 8192, 8192, 8192.0)
        .fixed("attn_scale", 0.1, 0.1)
        .fixed("attention_bias", false, false)
        .unrotated(4)
        .trait(Trait.CHUNKED)
        .trait(Trait.ROPE_FACTORS)
        .build();
  }

  /** Which layers see everything, and are not rotated, a file lists. */
  private static GgufFamily exaone() {
    return deepSeekExperts(
            GgufLayouts.llamaLike("exaone_moe", "ExaoneMoeForCausalLM", "exaone-moe"))
        .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
        .tensor("mlp.e_score_correction_bias", "exp_probs_b.bias")
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-5)
        .whole("expert_count", "num_experts", 64)
        .whole("expert_shared_count", "num_shared_experts", 1)
        .product("expert_shared_feed_forward_length", "num_shared_experts", "moe_intermediate_size")
        .real("expert_weights_scale", "routed_scaling_factor", 2.5)
        .truth("expert_weights_norm", "norm_topk_prob", true)
        .whole("expert_group_count", "n_group", 1)
        .whole("expert_group_used_count", "topk_group", 1)
        .constant(GATING, SIGMOID)
        .windows(4)
        .trait(Trait.LISTED_WINDOWS)
        .trait(Trait.ROPE_FACTORS)
        .ownHead()
        .build();
  }

  /** Norms with means or without; what all tokens take is averaged with the experts. */
  private static GgufFamilyBuilder command(int gating, String scores) {
    return GgufLayouts.shaped("cohere2_moe", "Cohere2MoeForCausalLM", "cohere2moe")
        .without("post_attention_layernorm")
        .modules("mlp.gate", "ffn_gate_inp")
        .modules(SHARED)
        .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
        .real("attention.layer_norm_epsilon", "layer_norm_eps", 1e-5)
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps")
        .real("logit_scale", "logit_scale", 0.0625)
        .whole("feed_forward_length", "prefix_dense_intermediate_size", "intermediate_size")
        .whole("expert_count", "num_experts")
        .whole("expert_used_count", "num_experts_per_tok", 2)
        .whole("expert_feed_forward_length", "intermediate_size")
        .whole("expert_shared_count", "num_shared_experts", 0)
        .product("expert_shared_feed_forward_length", "num_shared_experts", "intermediate_size")
        .whole("leading_dense_block_count", "first_k_dense_replace")
        .truth("expert_weights_norm", "norm_topk_prob", true)
        .constant(GATING, gating)
        .fixed("expert_selection_fn", scores, "softmax")
        .fixed("shared_expert_combination_strategy", "average", "average")
        .fixed("hidden_act", "silu", "silu")
        .fixed("attention_bias", false, false)
        .windows(4)
        .trait(Trait.LISTED_WINDOWS)
        .trait(Trait.ROTATED_DENSE);
  }

  /** An expert that all tokens take, each as much as a gate says. */
  static GgufFamilyBuilder sharedExpert(GgufFamilyBuilder family) {
    return family
        .modules(
            "mlp.shared_expert.gate_proj",
            "ffn_gate_shexp",
            "mlp.shared_expert.up_proj",
            "ffn_up_shexp",
            "mlp.shared_expert.down_proj",
            "ffn_down_shexp",
            "mlp.shared_expert_gate",
            "ffn_gate_inp_shexp")
        .whole("expert_shared_feed_forward_length", "shared_expert_intermediate_size");
  }

  static GgufFamilyBuilder qwenExperts(GgufFamilyBuilder family) {
    return plainExperts(family).whole("expert_feed_forward_length", "moe_intermediate_size");
  }

  private static GgufFamilyBuilder plainExperts(GgufFamilyBuilder family) {
    return family
        .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        .modules("mlp.gate", "ffn_gate_inp")
        .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
        .whole("expert_count", "num_experts")
        .whole("expert_used_count", "num_experts_per_tok");
  }
}
