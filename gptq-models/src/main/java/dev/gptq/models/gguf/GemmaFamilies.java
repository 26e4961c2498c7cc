package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;

/** Gemma 4, dense and with experts beside the feed-forward layer. */
final class GemmaFamilies {
  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          gemma4().fixed("enable_moe_block", false, false).build(),
          gemma4()
              .modules(
                  "router.proj",
                  "ffn_gate_inp",
                  "pre_feedforward_layernorm_2",
                  "pre_ffw_norm_2",
                  "post_feedforward_layernorm_1",
                  "post_ffw_norm_1",
                  "post_feedforward_layernorm_2",
                  "post_ffw_norm_2")
              .tensor("router.scale", "ffn_gate_inp.scale")
              .tensor("router.per_expert_scale", "ffn_down_exps.scale")
              .experts("experts.", "gate_proj", "up_proj", "down_proj")
              .whole("expert_count", "num_experts")
              .whole("expert_used_count", "top_k_experts")
              .whole("expert_feed_forward_length", "moe_intermediate_size")
              .fixed("enable_moe_block", true, false)
              .build());

  private GemmaFamilies() {}

  private static GgufFamilyBuilder gemma4() {
    return GgufLayouts.common("gemma4_text", "Gemma4ForCausalLM", "gemma4")
        .ends(
            "model.embed_tokens",
            "token_embd",
            "model.norm",
            "output_norm",
            "lm_head",
            "output",
            "model.embed_tokens_per_layer",
            "per_layer_token_embd",
            "model.per_layer_model_projection",
            "per_layer_model_proj",
            "model.per_layer_projection_norm",
            "per_layer_proj_norm")
        .modules(
            "self_attn.q_norm",
            "attn_q_norm",
            "self_attn.k_norm",
            "attn_k_norm",
            "post_attention_layernorm",
            "post_attention_norm",
            "pre_feedforward_layernorm",
            "ffn_norm",
            "post_feedforward_layernorm",
            "post_ffw_norm",
            "per_layer_input_gate",
            "inp_gate",
            "per_layer_projection",
            "proj",
            "post_per_layer_input_norm",
            "post_norm")
        .tensor("layer_scalar", "layer_output_scale.weight")
        .whole("attention.shared_kv_layers", "num_kv_shared_layers", 0)
        .whole("embedding_length_per_layer_input", "hidden_size_per_layer_input", 256)
        .real("final_logit_softcapping", "final_logit_softcapping")
        .fixed("hidden_activation", "gelu_pytorch_tanh", "gelu_pytorch_tanh")
        .fixed("attention_bias", false, false)
        .trait(Trait.TWO_HEAD_SIZES);
  }
}
