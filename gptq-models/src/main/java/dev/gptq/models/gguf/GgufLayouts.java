package dev.gptq.models.gguf;

/** What most families have in common in a GGUF file. */
final class GgufLayouts {
  private GgufLayouts() {}

  /** Names and numbers of decoders with gated feed-forward networks and root mean square norms. */
  static GgufFamilyBuilder common(String type, String modelClass, String architecture) {
    return shaped(type, modelClass, architecture)
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-6);
  }

  /** The same names and numbers whatever the norms. */
  static GgufFamilyBuilder shaped(String type, String modelClass, String architecture) {
    return GgufFamily.of(type, modelClass, architecture)
        .modules(
            "input_layernorm",
            "attn_norm",
            "self_attn.q_proj",
            "attn_q",
            "self_attn.k_proj",
            "attn_k",
            "self_attn.v_proj",
            "attn_v",
            "self_attn.o_proj",
            "attn_output",
            "post_attention_layernorm",
            "ffn_norm",
            "mlp.gate_proj",
            "ffn_gate",
            "mlp.up_proj",
            "ffn_up",
            "mlp.down_proj",
            "ffn_down")
        .whole("block_count", "num_hidden_layers")
        .whole("context_length", "max_position_embeddings")
        .whole("embedding_length", "hidden_size")
        .whole("feed_forward_length", "intermediate_size")
        .whole("attention.head_count", "num_attention_heads")
        .whole("attention.head_count_kv", "num_key_value_heads");
  }

  /** The same with SiLU as the activation. */
  static GgufFamilyBuilder llamaLike(String type, String modelClass, String architecture) {
    return common(type, modelClass, architecture).fixed("hidden_act", "silu", "silu");
  }

  /** The same with norms of queries and keys, and behind attention and feed-forward only. */
  static GgufFamilyBuilder normsBehind(String type, String modelClass, String architecture) {
    return llamaLike(type, modelClass, architecture)
        .without("input_layernorm")
        .modules(
            "self_attn.q_norm",
            "attn_q_norm",
            "self_attn.k_norm",
            "attn_k_norm",
            "post_attention_layernorm",
            "post_attention_norm",
            "post_feedforward_layernorm",
            "post_ffw_norm")
        .trait(GgufFamily.Trait.WHOLE_HEADS);
  }
}
