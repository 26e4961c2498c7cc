package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** A {@code config.json} of a very small model for every architecture. */
public final class TinyConfigs {
  private static final String ROTARY =
      """
      "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 96,
      "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
      "rms_norm_eps": 1e-5, "rope_theta": 1e4, "eos_token_id": 2, "hidden_act": "silu"
      """;

  /** By name of the architecture. */
  public static final ImmutableMap<String, String> ALL =
      ImmutableMap.<String, String>builder()
          .put("llama", "{\"model_type\": \"llama\", \"mlp_bias\": true, " + ROTARY + "}")
          .put("mistral", "{\"model_type\": \"mistral\", \"sliding_window\": 8, " + ROTARY + "}")
          .put("qwen2", "{\"model_type\": \"qwen2\", " + ROTARY + "}")
          .put("qwen3", "{\"model_type\": \"qwen3\", \"head_dim\": 16, " + ROTARY + "}")
          .put(
              "gemma2",
              """
              {"model_type": "gemma2", "head_dim": 16, "query_pre_attn_scalar": 16,
               "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
               "sliding_window": 8, "hidden_activation": "gelu_pytorch_tanh",
              """
                  + ROTARY
                  + "}")
          .put("phi3", "{\"model_type\": \"phi3\", \"sliding_window\": null, " + ROTARY + "}")
          .put(
              "opt",
              """
              {"model_type": "opt", "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2,
               "num_attention_heads": 4, "max_position_embeddings": 64, "vocab_size": 96,
               "activation_function": "relu", "do_layer_norm_before": true}
              """)
          .put(
              "opt-post",
              """
              {"model_type": "opt", "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2,
               "num_attention_heads": 4, "max_position_embeddings": 64, "vocab_size": 96,
               "activation_function": "relu", "do_layer_norm_before": false,
               "word_embed_proj_dim": 16}
              """)
          .put(
              "bloom",
              """
              {"model_type": "bloom", "hidden_size": 32, "n_layer": 2, "n_head": 4,
               "vocab_size": 96, "seq_length": 64}
              """)
          .put(
              "gpt2",
              """
              {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
               "vocab_size": 96}
              """)
          .put(
              "gpt-neox",
              """
              {"model_type": "gpt_neox", "hidden_size": 32, "intermediate_size": 64,
               "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 96,
               "max_position_embeddings": 64, "rotary_pct": 0.5, "rotary_emb_base": 10000}
              """)
          .put(
              "mixtral",
              "{\"model_type\": \"mixtral\", \"num_local_experts\": 4, \"num_experts_per_tok\": 2, "
                  + ROTARY
                  + "}")
          .put(
              "qwen3-moe",
              """
              {"model_type": "qwen3_moe", "head_dim": 16, "num_experts": 4,
               "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": true,
               "mlp_only_layers": [0],
              """
                  + ROTARY
                  + "}")
          .put(
              "smollm3",
              """
              {"model_type": "smollm3", "no_rope_layers": [1, 0],
              """
                  + ROTARY
                  + "}")
          .put(
              "granite",
              """
              {"model_type": "granite", "attention_multiplier": 0.3, "embedding_multiplier": 3.0,
               "residual_multiplier": 0.5, "logits_scaling": 2.0,
              """
                  + ROTARY
                  + "}")
          .put(
              "olmo",
              """
              {"model_type": "olmo", "clip_qkv": null,
              """
                  + ROTARY
                  + "}")
          .put(
              "olmo2",
              """
              {"model_type": "olmo2", "attention_bias": true,
              """
                  + ROTARY
                  + "}")
          .put(
              "gemma3",
              """
              {"model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8,
               "layer_types": ["sliding_attention", "full_attention"],
              """
                  + ROTARY
                  + "}")
          .put(
              "cohere",
              """
              {"model_type": "cohere", "use_qk_norm": true,
              """
                  + ROTARY
                  + "}")
          .put(
              "glm4",
              """
              {"model_type": "glm4", "head_dim": 16, "attention_bias": true,
              """
                  + ROTARY
                  + "}")
          .put(
              "exaone4",
              """
              {"model_type": "exaone4", "sliding_window": 8, "sliding_window_pattern": "LG",
              """
                  + ROTARY
                  + "}")
          .put(
              "stablelm",
              """
              {"model_type": "stablelm", "qk_layernorm": true, "use_parallel_residual": true,
              """
                  + ROTARY
                  + "}")
          .put(
              "phi",
              """
              {"model_type": "phi", "qk_layernorm": true,
              """
                  + ROTARY
                  + "}")
          .put(
              "nemotron",
              """
              {"model_type": "nemotron", "head_dim": 8,
              """
                  + ROTARY.replace("silu", "relu2")
                  + "}")
          .put(
              "falcon",
              """
              {"model_type": "falcon", "new_decoder_architecture": true, "num_kv_heads": 2,
              """
                  + ROTARY
                  + "}")
          .put(
              "gptj",
              """
              {"model_type": "gptj", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
               "rotary_dim": 4, "vocab_size": 96}
              """)
          .put(
              "qwen2-moe",
              """
              {"model_type": "qwen2_moe", "num_experts": 4, "num_experts_per_tok": 2,
               "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48,
              """
                  + ROTARY
                  + "}")
          .put(
              "deepseek",
              """
              {"model_type": "deepseek_v2", "kv_lora_rank": 16, "qk_nope_head_dim": 8,
               "qk_rope_head_dim": 8, "v_head_dim": 12, "n_routed_experts": 4,
               "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 1,
               "topk_method": "group_limited_greedy", "n_group": 2, "topk_group": 1,
              """
                  + ROTARY
                  + "}")
          .put(
              "deepseek-v3",
              """
              {"model_type": "deepseek_v3", "q_lora_rank": 16, "kv_lora_rank": 16,
               "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 16,
               "n_routed_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 32,
               "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 2, "topk_group": 2,
               "routed_scaling_factor": 2.5,
              """
                  + ROTARY
                  + "}")
          .put(
              "qwen3-next",
              """
              {"model_type": "qwen3_next", "head_dim": 16, "linear_num_key_heads": 2,
               "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
               "layer_types": ["linear_attention", "full_attention"], "num_experts": 4,
               "num_experts_per_tok": 2, "moe_intermediate_size": 32,
               "shared_expert_intermediate_size": 48, "mlp_only_layers": [0],
              """
                  + ROTARY
                  + "}")
          .put(
              "qwen3_5",
              """
              {"model_type": "qwen3_5_text", "head_dim": 16, "linear_num_key_heads": 2,
               "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 16,
               "layer_types": ["linear_attention", "full_attention"],
              """
                  + ROTARY
                  + "}")
          .put(
              "lfm2",
              """
              {"model_type": "lfm2", "layer_types": ["conv", "full_attention"],
               "block_multiple_of": 16,
              """
                  + ROTARY
                  + "}")
          .put(
              "gpt-oss",
              """
              {"model_type": "gpt_oss", "head_dim": 16, "num_local_experts": 4,
               "num_experts_per_tok": 2, "sliding_window": 8, "swiglu_limit": 0.5,
              """
                  + ROTARY
                  + "}")
          .put(
              "granite-moe",
              """
              {"model_type": "granitemoeshared", "num_local_experts": 4, "num_experts_per_tok": 2,
               "shared_intermediate_size": 48, "residual_multiplier": 0.5, "attention_multiplier": 0.3,
               "logits_scaling": 2, "embedding_multiplier": 3,
              """
                  + ROTARY
                  + "}")
          .put(
              "granite4",
              """
              {"model_type": "granitemoehybrid", "num_local_experts": 0, "mamba_n_heads": 8,
               "mamba_d_state": 8, "mamba_n_groups": 2, "shared_intermediate_size": 48,
               "layer_types": ["mamba", "attention"],
              """
                  + ROTARY
                  + "}")
          .put(
              "nemotron-h",
              """
              {"model_type": "nemotron_h", "hybrid_override_pattern": "M*E", "head_dim": 16,
               "mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 2,
               "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
               "moe_latent_size": 16, "moe_shared_expert_intermediate_size": 48,
              """
                  + ROTARY
                  + "}")
          .put(
              "falcon-h1",
              """
              {"model_type": "falcon_h1", "head_dim": 16, "mamba_d_ssm": 48, "mamba_n_heads": 8,
               "mamba_d_state": 8, "mamba_rms_norm": true, "key_multiplier": 0.5,
               "ssm_multipliers": [0.5, 1.5, 2, 0.7, 0.9], "ssm_in_multiplier": 1.2,
               "mlp_multipliers": [0.8, 1.1], "time_step_limit": [0.1, 2.0],
              """
                  + ROTARY
                  + "}")
          .put(
              "apertus",
              """
              {"model_type": "apertus",
              """
                  + ROTARY.replace("silu", "xielu")
                  + "}")
          .put(
              "llama4",
              """
              {"model_type": "llama4_text", "head_dim": 16, "num_local_experts": 4,
               "num_experts_per_tok": 2, "intermediate_size_mlp": 48, "moe_layers": [1],
               "no_rope_layers": [1, 0], "attention_chunk_size": 16, "floor_scale": 8,
              """
                  + ROTARY
                  + "}")
          .put(
              "gemma4-shared",
              """
              {"model_type": "gemma4_text", "head_dim": 8, "global_head_dim": 16,
               "sliding_window": 8, "hidden_size_per_layer_input": 16,
               "vocab_size_per_layer_input": 96, "num_kv_shared_layers": 1,
               "use_double_wide_mlp": true, "layer_types": ["full_attention",
                 "sliding_attention", "sliding_attention"],
              """
                  + ROTARY.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3")
                  + "}")
          .put(
              "gemma4",
              """
              {"model_type": "gemma4_text", "head_dim": 8, "global_head_dim": 16,
               "num_global_key_value_heads": 1, "attention_k_eq_v": true, "sliding_window": 8,
               "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": 96,
               "layer_types": ["sliding_attention", "full_attention"],
               "enable_moe_block": true, "num_experts": 4, "top_k_experts": 2,
               "moe_intermediate_size": 32, "rope_parameters": {
                 "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25},
                 "sliding_attention": {"rope_type": "default"}},
              """
                  + ROTARY
                  + "}")
          .put(
              "ministral3",
              """
              {"model_type": "ministral3", "head_dim": 16, "rope_parameters": {"rope_type": "yarn",
               "factor": 4.0, "original_max_position_embeddings": 16, "llama_4_scaling_beta": 0.1},
              """
                  + ROTARY
                  + "}")
          .put(
              "mistral4",
              """
              {"model_type": "mistral4", "q_lora_rank": 16, "kv_lora_rank": 16,
               "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12,
               "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
               "first_k_dense_replace": 1,
              """
                  + ROTARY
                  + "}")
          .put(
              "glm5",
              """
              {"model_type": "glm_moe_dsa", "q_lora_rank": 16, "kv_lora_rank": 16,
               "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 16,
               "n_routed_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 32,
               "mlp_layer_types": ["dense", "sparse"],
              """
                  + ROTARY
                  + "}")
          .put(
              "glm4-moe-lite",
              """
              {"model_type": "glm4_moe_lite", "q_lora_rank": 16, "kv_lora_rank": 16,
               "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 16,
               "n_routed_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 32,
              """
                  + ROTARY
                  + "}")
          .put(
              "lfm2-moe",
              """
              {"model_type": "lfm2_moe", "layer_types": ["conv", "full_attention"],
               "num_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 32,
               "num_dense_layers": 1, "use_expert_bias": true,
              """
                  + ROTARY
                  + "}")
          .put(
              "arcee",
              """
              {"model_type": "arcee", "mlp_bias": true,
              """
                  + ROTARY.replace("silu", "relu2")
                  + "}")
          .put(
              "olmoe",
              """
              {"model_type": "olmoe", "num_experts": 4, "num_experts_per_tok": 2,
              """
                  + ROTARY
                  + "}")
          .put(
              "dots1",
              """
              {"model_type": "dots1", "n_routed_experts": 4, "num_experts_per_tok": 2,
               "moe_intermediate_size": 32, "n_shared_experts": 1, "first_k_dense_replace": 1,
              """
                  + ROTARY
                  + "}")
          .put(
              "hunyuan-moe",
              """
              {"model_type": "hunyuan_v1_moe", "num_experts": 4, "moe_topk": 2,
              """
                  + ROTARY
                  + "}")
          .put(
              "k-exaone",
              """
              {"model_type": "exaone_moe", "num_experts": 4, "num_experts_per_tok": 2,
               "moe_intermediate_size": 32, "sliding_window": 8, "sliding_window_pattern": "LG",
              """
                  + ROTARY
                  + "}")
          .put(
              "deepseek-v32",
              """
              {"model_type": "deepseek_v32", "q_lora_rank": 16, "kv_lora_rank": 16,
               "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
               "n_routed_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 32,
               "first_k_dense_replace": 1, "index_topk": 64,
              """
                  + ROTARY
                  + "}")
          .put(
              "youtu",
              """
              {"model_type": "youtu", "q_lora_rank": 16, "kv_lora_rank": 16,
               "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
              """
                  + ROTARY
                  + "}")
          .put(
              "solar-open",
              """
              {"model_type": "solar_open", "head_dim": 16, "n_routed_experts": 4,
               "num_experts_per_tok": 4, "moe_intermediate_size": 32, "n_shared_experts": 1,
              """
                  + ROTARY
                  + "}")
          .put("qwen2-vl", "{\"model_type\": \"qwen2_5_vl_text\", " + ROTARY + "}")
          .put("qwen3-vl", "{\"model_type\": \"qwen3_vl_text\", \"head_dim\": 16, " + ROTARY + "}")
          .put("helium", "{\"model_type\": \"helium\", \"head_dim\": 8, " + ROTARY + "}")
          .put(
              "cwm",
              "{\"model_type\": \"cwm\", \"head_dim\": 16, \"sliding_window\": 8, " + ROTARY + "}")
          .put(
              "nanochat",
              """
              {"model_type": "nanochat",
              """
                  + ROTARY.replace("silu", "relu2")
                  + "}")
          .put(
              "exaone3",
              """
              {"model_type": "exaone", "num_layers": 2, "layer_norm_epsilon": 1e-5,
               "activation_function": "silu",
              """
                  + ROTARY.replace("\"num_hidden_layers\": 2, ", "")
                  + "}")
          .put(
              "minicpm3",
              """
              {"model_type": "minicpm3", "q_lora_rank": 16, "kv_lora_rank": 16,
               "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "scale_emb": 2, "dim_model_base": 16,
              """
                  + ROTARY
                  + "}")
          .put(
              "afmoe",
              """
              {"model_type": "afmoe", "head_dim": 16, "num_experts": 4, "num_experts_per_tok": 4,
               "moe_intermediate_size": 32, "num_shared_experts": 1, "mup_enabled": true,
               "sliding_window": 8, "global_attn_every_n_layers": 2,
              """
                  + ROTARY
                  + "}")
          .put(
              "cohere2-moe",
              """
              {"model_type": "cohere2_moe", "head_dim": 16, "num_experts": 4,
               "num_experts_per_tok": 4, "num_shared_experts": 1, "first_k_dense_replace": 1,
              """
                  + ROTARY.replace("\"rms_norm_eps\": 1e-5, ", "")
                  + "}")
          .put(
              "phimoe",
              """
              {"model_type": "phimoe", "num_local_experts": 2, "router_jitter_noise": 0.1,
              """
                  + ROTARY
                  + "}")
          .put(
              "internlm3",
              """
              {"model_type": "internlm3", "head_dim": 16, "qkv_bias": true, "bias": true,
              """
                  + ROTARY
                  + "}")
          .put(
              "ministral",
              """
              {"model_type": "ministral", "head_dim": 16, "sliding_window": 8,
               "layer_types": ["sliding_attention", "full_attention"],
              """
                  + ROTARY
                  + "}")
          .buildOrThrow();

  private TinyConfigs() {}

  /** The configuration of an architecture, to be changed at will. */
  public static ObjectNode json(String architecture) {
    return (ObjectNode) JsonMapper.shared().readTree(ALL.get(architecture));
  }
}
