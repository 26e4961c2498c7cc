package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.gguf.GgufFamily.Trait;

/**
 * Families whose keys and values come from a latent. DeepSeek's relatives are files of its
 * architecture, and are read as DeepSeek.
 */
final class LatentFamilies {
  private static final String V3 = "DeepseekV3ForCausalLM";

  static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          mixture("deepseek_v2", "DeepseekV2ForCausalLM", "deepseek2")
              .constant(MixtureFamilies.GATING, MixtureFamilies.SOFTMAX)
              .constant("expert_group_count", 1)
              .constant("expert_group_used_count", 1)
              .fixed("topk_method", "greedy", "greedy")
              .fixed("mlp_bias", false, false)
              .build(),
          neighbours("deepseek_v3", V3).build(),
          neighbours("kimi_k2", V3).build(),
          neighbours("glm4_moe_lite", "Glm4MoeLiteForCausalLM").build(),
          indexed("deepseek_v32", "DeepseekV32ForCausalLM", "deepseek32", 64),
          indexed("glm_moe_dsa", "GlmMoeDsaForCausalLM", "glm-dsa", 32),
          dense(),
          mixture("mistral4", "Mistral4ForCausalLM", "mistral4")
              .constant(MixtureFamilies.GATING, MixtureFamilies.SOFTMAX)
              .whole("expert_group_count", "n_group", 1)
              .whole("expert_group_used_count", "topk_group", 1)
              .truth("expert_weights_norm", "norm_topk_prob", true)
              .fixed("rope_interleave", true, true)
              .build(),
          miniCpm());

  private LatentFamilies() {}

  private static GgufFamilyBuilder mixture(String type, String modelClass, String architecture) {
    return MixtureFamilies.deepSeekExperts(latent(type, modelClass, architecture));
  }

  private static GgufFamilyBuilder neighbours(String type, String modelClass) {
    return sigmoid(type, modelClass, "deepseek2").fixed("rope_interleave", true, true);
  }

  /** Channels side by side turn together, whatever {@code rope_interleave} says. */
  private static GgufFamily indexed(
      String type, String modelClass, String architecture, int indexHeads) {
    return sigmoid(type, modelClass, architecture)
        .tensor(IndexerTensors.BEGINNING + "wq_b.weight", "indexer.attn_q_b.weight")
        .tensor(IndexerTensors.BEGINNING + "wk.weight", "indexer.attn_k.weight")
        .tensor(IndexerTensors.BEGINNING + "k_norm.weight", "indexer.k_norm.weight")
        .tensor(IndexerTensors.BEGINNING + "k_norm.bias", "indexer.k_norm.bias")
        .tensor(IndexerTensors.BEGINNING + "weights_proj.weight", "indexer.proj.weight")
        .whole("attention.indexer.head_count", "index_n_heads", indexHeads)
        .whole("attention.indexer.key_length", "index_head_dim", 128)
        .whole("attention.indexer.top_k", "index_topk", 2048)
        .trait(Trait.INDEXED)
        .build();
  }

  private static GgufFamilyBuilder sigmoid(String type, String modelClass, String architecture) {
    return mixture(type, modelClass, architecture)
        .tensor("mlp.gate.e_score_correction_bias", "exp_probs_b.bias")
        .constant(MixtureFamilies.GATING, MixtureFamilies.SIGMOID)
        .whole("expert_group_count", "n_group", 1)
        .whole("expert_group_used_count", "topk_group", 1)
        .truth("expert_weights_norm", "norm_topk_prob", true);
  }

  /** Youtu: without experts, of which a file has to say something all the same. */
  private static GgufFamily dense() {
    return latent("youtu", "YoutuForCausalLM", "deepseek2")
        .whole("leading_dense_block_count", "first_k_dense_replace")
        .whole("expert_feed_forward_length", "intermediate_size")
        .constant("expert_shared_count", 0)
        .fixed("rope_interleave", true, true)
        .build();
  }

  /** MiniCPM 3, whose factors llama.cpp takes for granted. */
  private static GgufFamily miniCpm() {
    return names(GgufLayouts.llamaLike("minicpm3", "MiniCPM3ForCausalLM", "minicpm3"))
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-5)
        .whole("attention.q_lora_rank", "q_lora_rank")
        .whole("rope.scaling.original_context_length", "original_max_position_embeddings")
        .oneOf("scale_emb", 12, 12, 12.0)
        .fixed("scale_depth", 1.4, 1.4)
        .oneOf("dim_model_base", 256, 256, 256.0)
        .fixed("mlp_bias", false, false)
        .trait(Trait.WHOLE_LATENT)
        .trait(Trait.LONG_ROPE)
        .build();
  }

  /** Queries may come from another. */
  private static GgufFamilyBuilder latent(String type, String modelClass, String architecture) {
    return names(GgufLayouts.llamaLike(type, modelClass, architecture))
        .modules("self_attn.k_b_proj", "attn_k_b", "self_attn.v_b_proj", "attn_v_b")
        .trait(Trait.LATENT)
        .trait(Trait.TEMPERED)
        .trait(Trait.YARN);
  }

  private static GgufFamilyBuilder names(GgufFamilyBuilder family) {
    return family
        .without("self_attn.k_proj", "self_attn.v_proj")
        .modules(
            "self_attn.q_a_proj",
            "attn_q_a",
            "self_attn.q_a_layernorm",
            "attn_q_a_norm",
            "self_attn.q_b_proj",
            "attn_q_b",
            "self_attn.kv_a_proj_with_mqa",
            "attn_kv_a_mqa",
            "self_attn.kv_a_layernorm",
            "attn_kv_a_norm",
            "self_attn.kv_b_proj",
            "attn_kv_b")
        .whole("attention.kv_lora_rank", "kv_lora_rank")
        .fixed("attention_bias", false, false);
  }
}
