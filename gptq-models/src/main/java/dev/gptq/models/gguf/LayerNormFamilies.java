package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Range;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Model types with layer norms. llama.cpp has one GELU, that with the hyperbolic tangent. */
final class LayerNormFamilies {
  private static final String TANH = "gelu_pytorch_tanh";
  private static final String NEW = "gelu_new";
  private static final String FAST = "gelu_fast";
  private static final String EXACT = "gelu";

  /** Blocks from which on llama.cpp wants Command R to normalise heads. */
  private static final int NORMALISED = 64;

  private LayerNormFamilies() {}

  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          gptNeox(),
          starCoder(),
          stableLm(),
          commandR().blocks(Range.lessThan(NORMALISED)).fixed("use_qk_norm", false, false).build(),
          commandR()
              .blocks(Range.atLeast(NORMALISED))
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .fixed("use_qk_norm", true, false)
              .build(),
          cohere("cohere2", "Cohere2ForCausalLM", "cohere2").windows(4).unrotated(4).build(),
          olmo(),
          phi(),
          gpt2(),
          nemotron(),
          falcon("ln_mlp")
              .modules("ln_attn", "attn_norm_2")
              .marker("attn_norm_2.weight")
              .fixed("new_decoder_architecture", true, false)
              .fixed("num_ln_in_parallel_attn", 2, 2)
              .build(),
          falcon("input_layernorm")
              .oneOf("new_decoder_architecture", false, true, false)
              .fixed("num_ln_in_parallel_attn", 1, 1)
              .build(),
          bloom());

  private static GgufFamilyBuilder epsilon(GgufFamilyBuilder family, String name) {
    return family.real("attention.layer_norm_epsilon", name, 1e-5).trait(Trait.WHOLE_HEADS);
  }

  /** Llama's names, but one matrix before the activation function and one behind it. */
  private static GgufFamilyBuilder plain(
      String type, String modelClass, String architecture, String wide, String narrow) {
    return GgufLayouts.shaped(type, modelClass, architecture)
        .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        .modules(wide, "ffn_up", narrow, "ffn_down");
  }

  /** Queries, keys and values are one matrix; the norms and sizes are for others to name. */
  private static GgufFamilyBuilder classic(String type, String modelClass, String architecture) {
    return epsilon(GgufFamily.of(type, modelClass, architecture), "layer_norm_epsilon");
  }

  private static GgufFamily gptNeox() {
    return epsilon(GgufFamily.of("gpt_neox", "GPTNeoXForCausalLM", "gptneox"), "layer_norm_eps")
        .layers("gpt_neox.layers.")
        .ends(
            "gpt_neox.embed_in",
            "token_embd",
            "gpt_neox.final_layer_norm",
            "output_norm",
            "embed_out",
            "output")
        .modules(
            "input_layernorm",
            "attn_norm",
            "attention.query_key_value",
            "attn_qkv",
            "attention.dense",
            "attn_output",
            "post_attention_layernorm",
            "ffn_norm",
            "mlp.dense_h_to_4h",
            "ffn_up",
            "mlp.dense_4h_to_h",
            "ffn_down")
        .whole("block_count", "num_hidden_layers")
        .whole("context_length", "max_position_embeddings")
        .whole("embedding_length", "hidden_size")
        .whole("feed_forward_length", "intermediate_size")
        .whole("attention.head_count", "num_attention_heads")
        .truth("use_parallel_residual", "use_parallel_residual", true)
        .oneOf("hidden_act", EXACT, EXACT, FAST, NEW, TANH)
        .fixed("attention_bias", true, true)
        .ownHead()
        .build();
  }

  private static GgufFamily starCoder() {
    return epsilon(
            plain("starcoder2", "Starcoder2ForCausalLM", "starcoder2", "mlp.c_fc", "mlp.c_proj"),
            "norm_epsilon")
        .oneOf("hidden_act", TANH, TANH, NEW, FAST, EXACT)
        .fixed("use_bias", true, true)
        .build();
  }

  private static GgufFamily stableLm() {
    return epsilon(
            GgufLayouts.shaped("stablelm", "StableLmForCausalLM", "stablelm"), "layer_norm_eps")
        .truth("use_parallel_residual", "use_parallel_residual", false)
        .lack("use_parallel_residual", "ffn_norm.weight")
        .bias("use_qkv_bias", "attn_q.bias")
        .bias("qk_layernorm", "attn_q_norm.weight")
        .tensor("self_attn.q_layernorm.norms.*.weight", "attn_q_norm.weight")
        .tensor("self_attn.k_layernorm.norms.*.weight", "attn_k_norm.weight")
        .fixed("hidden_act", "silu", "silu")
        .trait(Trait.PARTLY_ROTATED)
        .ownHead()
        .build();
  }

  private static GgufFamilyBuilder commandR() {
    return cohere("cohere", "CohereForCausalLM", "command-r");
  }

  /** The output layer is always the embedding. */
  private static GgufFamilyBuilder cohere(String type, String modelClass, String architecture) {
    return epsilon(GgufLayouts.shaped(type, modelClass, architecture), "layer_norm_eps")
        .ends("model.embed_tokens", "token_embd", "model.norm", "output_norm")
        .without("post_attention_layernorm")
        .real("logit_scale", "logit_scale", 0.0625)
        .fixed("hidden_act", "silu", "silu")
        .fixed("attention_bias", false, false);
  }

  /** Norms without parameters. */
  private static GgufFamily olmo() {
    return epsilon(GgufLayouts.shaped("olmo", "OlmoForCausalLM", "olmo"), "layer_norm_eps")
        .pairsNeighbours()
        .ends("model.embed_tokens", "token_embd", "lm_head", "output")
        .without("input_layernorm", "post_attention_layernorm")
        .real("attention.clamp_kqv", "clip_qkv")
        .fixed("hidden_act", "silu", "silu")
        .fixed("attention_bias", false, false)
        .build();
  }

  private static GgufFamily phi() {
    return epsilon(plain("phi", "PhiForCausalLM", "phi2", "mlp.fc1", "mlp.fc2"), "layer_norm_eps")
        .ends(
            "model.embed_tokens",
            "token_embd",
            "model.final_layernorm",
            "output_norm",
            "lm_head",
            "output")
        .without("post_attention_layernorm", "self_attn.o_proj")
        .modules("self_attn.dense", "attn_output")
        .oneOf("hidden_act", NEW, NEW, TANH, FAST, EXACT)
        .fixed("qk_layernorm", false, false)
        .trait(Trait.PARTLY_ROTATED)
        .ownHead()
        .build();
  }

  private static GgufFamily gpt2() {
    return classic("gpt2", "GPT2LMHeadModel", "gpt2")
        .layers("transformer.h.")
        .ends(
            "transformer.wte",
            "token_embd",
            "transformer.wpe",
            "position_embd",
            "transformer.ln_f",
            "output_norm",
            "lm_head",
            "output")
        .modules(
            "ln_1",
            "attn_norm",
            "attn.c_attn",
            "attn_qkv",
            "attn.c_proj",
            "attn_output",
            "ln_2",
            "ffn_norm",
            "mlp.c_fc",
            "ffn_up",
            "mlp.c_proj",
            "ffn_down")
        .whole("block_count", "n_layer")
        .whole("context_length", "n_positions", "n_ctx")
        .whole("embedding_length", "n_embd")
        .whole("feed_forward_length", "n_inner")
        .whole("attention.head_count", "n_head")
        .oneOf("activation_function", NEW, NEW, TANH, FAST, EXACT)
        .fixed("scale_attn_weights", true, true)
        .fixed("scale_attn_by_inverse_layer_idx", false, false)
        .unrotated(1)
        .build();
  }

  private static GgufFamily nemotron() {
    return epsilon(
            plain("nemotron", "NemotronForCausalLM", "nemotron", "mlp.up_proj", "mlp.down_proj"),
            "norm_eps")
        .normsPlusOne()
        .bias("attention_bias", "attn_q.bias")
        .bias("mlp_bias", "ffn_up.bias")
        .fixed("hidden_act", "relu2", "relu2")
        .trait(Trait.PARTLY_ROTATED)
        .ownHead()
        .build();
  }

  /** Read as the newer architecture, which has the other inside. */
  private static GgufFamilyBuilder falcon(String norm) {
    return classic("falcon", "FalconForCausalLM", "falcon")
        .layers("transformer.h.")
        .ends(
            "transformer.word_embeddings",
            "token_embd",
            "transformer.ln_f",
            "output_norm",
            "lm_head",
            "output")
        .modules(
            norm,
            "attn_norm",
            "self_attention.query_key_value",
            "attn_qkv",
            "self_attention.dense",
            "attn_output",
            "mlp.dense_h_to_4h",
            "ffn_up",
            "mlp.dense_4h_to_h",
            "ffn_down")
        .whole("block_count", "num_hidden_layers", "n_layer")
        .whole("context_length", "max_position_embeddings")
        .whole("embedding_length", "hidden_size")
        .whole("feed_forward_length", "ffn_hidden_size")
        .whole("attention.head_count", "num_attention_heads", "n_head")
        .whole("attention.head_count_kv", "num_kv_heads")
        .oneOf("activation", EXACT, EXACT, NEW, TANH, FAST)
        .fixed("parallel_attn", true, true)
        .fixed("alibi", false, false)
        .fixed("bias", false, false);
  }

  private static GgufFamily bloom() {
    return classic("bloom", "BloomForCausalLM", "bloom")
        .layers("transformer.h.")
        .ends(
            "transformer.word_embeddings",
            "token_embd",
            "transformer.word_embeddings_layernorm",
            "token_embd_norm",
            "transformer.ln_f",
            "output_norm",
            "lm_head",
            "output")
        .modules(
            "input_layernorm",
            "attn_norm",
            "self_attention.query_key_value",
            "attn_qkv",
            "self_attention.dense",
            "attn_output",
            "post_attention_layernorm",
            "ffn_norm",
            "mlp.dense_h_to_4h",
            "ffn_up",
            "mlp.dense_4h_to_h",
            "ffn_down")
        .whole("block_count", "n_layer", "num_hidden_layers")
        .whole("context_length", "seq_length")
        .whole("embedding_length", "hidden_size", "n_embed")
        .whole("feed_forward_length", "ffn_hidden_size")
        .whole("attention.head_count", "n_head", "num_attention_heads")
        .whole("attention.head_count_kv", "num_key_value_heads")
        .fixed("apply_residual_connection_post_layernorm", false, false)
        .unrotated(1)
        .build();
  }
}
