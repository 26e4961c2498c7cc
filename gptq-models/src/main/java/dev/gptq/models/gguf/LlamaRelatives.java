package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.Range;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Model types with RMS norms that llama.cpp has architectures of their own for. */
final class LlamaRelatives {
  /** Blocks of the only EXAONE 4 that has windows. */
  private static final int WINDOWED = 64;

  private LlamaRelatives() {}

  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          exaone4().blocks(Range.singleton(WINDOWED)).windows(4).unrotated(4).build(),
          exaone4().blocks(Range.lessThan(WINDOWED)).build(),
          exaone4().blocks(Range.greaterThan(WINDOWED)).build(),
          GgufLayouts.llamaLike("seed_oss", "SeedOssForCausalLM", "seed_oss")
              .modules("post_attention_layernorm", "post_attention_norm")
              .bias("attention_bias", "attn_q.bias")
              .fixed("attention_out_bias", false, false)
              .fixed("mlp_bias", false, false)
              .build(),
          GgufLayouts.llamaLike("ernie4_5", "Ernie4_5ForCausalLM", "ernie4_5")
              .fixed("use_bias", false, false)
              .build(),
          gemma(),
          exaone3(),
          arcee(),
          apertus(),
          hunyuan(),
          GgufLayouts.llamaLike("internlm3", "InternLM3ForCausalLM", "llama")
              .pairsNeighbours()
              .fixed("bias", false, false)
              .fixed("qkv_bias", false, false)
              .build());

  private static GgufFamilyBuilder exaone4() {
    return GgufLayouts.normsBehind("exaone4", "Exaone4ForCausalLM", "exaone4")
        .trait(Trait.ROPE_FACTORS);
  }

  /** The output layer is always the embedding. */
  private static GgufFamily gemma() {
    return GgufLayouts.shaped("gemma", "GemmaForCausalLM", "gemma")
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-6)
        .ends("model.embed_tokens", "token_embd", "model.norm", "output_norm")
        .normsPlusOne()
        .fixed("hidden_activation", "gelu_pytorch_tanh", "gelu_pytorch_tanh")
        .oneOf("hidden_act", "gelu_pytorch_tanh", "gelu_pytorch_tanh", "gelu", "gelu_new")
        .fixed("attention_bias", false, false)
        .build();
  }

  /** GPT-2's names; settings as the newest transformers write them, or as published files do. */
  private static GgufFamily exaone3() {
    return GgufFamily.of("exaone", "ExaoneForCausalLM", "exaone")
        .layers("transformer.h.")
        .ends(
            "transformer.wte", "token_embd", "transformer.ln_f", "output_norm", "lm_head", "output")
        .modules(
            "ln_1",
            "attn_norm",
            "attn.attention.q_proj",
            "attn_q",
            "attn.attention.k_proj",
            "attn_k",
            "attn.attention.v_proj",
            "attn_v",
            "attn.attention.out_proj",
            "attn_output",
            "ln_2",
            "ffn_norm",
            "mlp.c_fc_0",
            "ffn_gate",
            "mlp.c_fc_1",
            "ffn_up",
            "mlp.c_proj",
            "ffn_down")
        .whole("block_count", "num_hidden_layers", "num_layers")
        .whole("context_length", "max_position_embeddings")
        .whole("embedding_length", "hidden_size")
        .whole("feed_forward_length", "intermediate_size")
        .whole("attention.head_count", "num_attention_heads")
        .whole("attention.head_count_kv", "num_key_value_heads")
        .real("attention.layer_norm_rms_epsilon", 1e-5, "rms_norm_eps", "layer_norm_epsilon")
        .fixed("hidden_act", "silu", "silu")
        .fixed("activation_function", "silu", "silu")
        .fixed("attention_bias", false, false)
        .fixed("mlp_bias", false, false)
        .trait(Trait.ROPE_FACTORS)
        .build();
  }

  private static GgufFamily arcee() {
    return GgufLayouts.common("arcee", "ArceeForCausalLM", "arcee")
        .pairsNeighbours()
        .without("mlp.gate_proj")
        .fixed("hidden_act", "relu2", "relu2")
        .fixed("attention_bias", false, false)
        .fixed("mlp_bias", false, false)
        .trait(Trait.ROPE_FACTORS)
        .build();
  }

  /** The numbers of the activation are no tensors in a file. */
  private static GgufFamily apertus() {
    String activation = "mlp.act_fn.";
    return GgufLayouts.common("apertus", "ApertusForCausalLM", "apertus")
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-5)
        .without("mlp.gate_proj", "input_layernorm", "post_attention_layernorm")
        .modules(
            "attention_layernorm",
            "attn_norm",
            "feedforward_layernorm",
            "ffn_norm",
            "self_attn.q_norm",
            "attn_q_norm",
            "self_attn.k_norm",
            "attn_k_norm")
        .numbers("xielu.alpha_p", activation + "alpha_p")
        .numbers("xielu.alpha_n", activation + "alpha_n")
        .numbers("xielu.beta", activation + "beta")
        .numbers("xielu.eps", activation + "eps", -1e-6)
        .fixed("hidden_act", "xielu", "xielu")
        .fixed("attention_bias", false, false)
        .fixed("mlp_bias", false, false)
        .trait(Trait.ROPE_FACTORS)
        .ownHead()
        .build();
  }

  /** The base of the frequencies is written as stretched. */
  private static GgufFamily hunyuan() {
    return GgufLayouts.llamaLike("hunyuan_v1_dense", "HunYuanDenseV1ForCausalLM", "hunyuan-dense")
        .modules(
            "self_attn.query_layernorm", "attn_q_norm", "self_attn.key_layernorm", "attn_k_norm")
        .fixed("attention_bias", false, false)
        .build();
  }
}
