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
          gemma());

  private static GgufFamily.Builder exaone4() {
    return GgufLayouts.llamaLike("exaone4", "Exaone4ForCausalLM", "exaone4")
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
        .trait(Trait.ROPE_FACTORS)
        .trait(Trait.WHOLE_HEADS);
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
}
