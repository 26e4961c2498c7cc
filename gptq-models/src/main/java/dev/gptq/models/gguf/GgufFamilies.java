package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufValues;
import java.util.Optional;
import java.util.stream.Collectors;

/** All model types that are known in GGUF files. */
public final class GgufFamilies {
  private static final String ARCHITECTURE = "general.architecture";

  /** Of two with one architecture, the one with experts is that of files which count them. */
  private static final ImmutableList<GgufFamily> ALL =
      ImmutableList.of(
          llamaLike("llama", "LlamaForCausalLM", "llama")
              .pairsNeighbours()
              .bias("attention_bias", "attn_q.bias")
              .bias("mlp_bias", "ffn_gate.bias")
              .build(),
          llamaLike("mistral", "MistralForCausalLM", "llama").pairsNeighbours().build(),
          llamaLike("mixtral", "MixtralForCausalLM", "llama")
              .pairsNeighbours()
              .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
              .modules("block_sparse_moe.gate", "ffn_gate_inp")
              .experts("block_sparse_moe.experts.", "w1", "w3", "w2")
              .whole("expert_count", "num_local_experts")
              .whole("expert_used_count", "num_experts_per_tok")
              .build(),
          llamaLike("qwen2", "Qwen2ForCausalLM", "qwen2").bias("qkv_bias", "attn_q.bias").build(),
          llamaLike("qwen3", "Qwen3ForCausalLM", "qwen3")
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .bias("attention_bias", "attn_q.bias")
              .build(),
          qwenExperts(llamaLike("qwen2_moe", "Qwen2MoeForCausalLM", "qwen2moe"))
              .modules(
                  "mlp.shared_expert.gate_proj",
                  "ffn_gate_shexp",
                  "mlp.shared_expert.up_proj",
                  "ffn_up_shexp",
                  "mlp.shared_expert.down_proj",
                  "ffn_down_shexp",
                  "mlp.shared_expert_gate",
                  "ffn_gate_inp_shexp")
              .whole("expert_shared_feed_forward_length", "shared_expert_intermediate_size")
              .ownHead()
              .fixed("norm_topk_prob", false, false)
              .bias("qkv_bias", "attn_q.bias")
              .build(),
          qwenExperts(llamaLike("qwen3_moe", "Qwen3MoeForCausalLM", "qwen3moe"))
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .fixed("norm_topk_prob", true, false)
              .bias("attention_bias", "attn_q.bias")
              .build(),
          gemma("gemma2", "Gemma2ForCausalLM", "gemma2")
              .real("attn_logit_softcapping", "attn_logit_softcapping")
              .windows(2)
              .build(),
          gemma("gemma3_text", "Gemma3ForCausalLM", "gemma3")
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .windows(6)
              .localRope(6)
              .build(),
          llamaLike("smollm3", "SmolLM3ForCausalLM", "smollm3")
              .pairsNeighbours()
              .unrotated(4)
              .build(),
          llamaLike("granite", "GraniteForCausalLM", "granite")
              .pairsNeighbours()
              .real("embedding_scale", "embedding_multiplier", 1)
              .real("residual_scale", "residual_multiplier", 1)
              .real("attention.scale", "attention_multiplier", 1)
              .real("logit_scale", "logits_scaling", 1)
              .build(),
          llamaLike("olmo2", "Olmo2ForCausalLM", "olmo2")
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
              .ownHead()
              .build(),
          fused(llamaLike("phi3", "Phi3ForCausalLM", "phi3"))
              .without("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
              .modules("self_attn.qkv_proj", "attn_qkv")
              .whole("rope.scaling.original_context_length", "original_max_position_embeddings")
              .build(),
          fused(llamaLike("glm4", "Glm4ForCausalLM", "glm4"))
              .modules(
                  "post_self_attn_layernorm",
                  "post_attention_norm",
                  "post_mlp_layernorm",
                  "post_ffw_norm")
              .bias("attention_bias", "attn_q.bias")
              .build());

  /** Blocks of the two models whose queries are scaled by the width of the model over its heads. */
  private static final ImmutableList<Integer> WIDE_QUERIES = ImmutableList.of(46, 62);

  private GgufFamilies() {}

  /** Whether Gemma of so many blocks scales queries by the width of the model over its heads. */
  public static boolean hasWideQueries(int blocks) {
    return WIDE_QUERIES.contains(blocks);
  }

  private static GgufFamily.Builder common(String type, String modelClass, String architecture) {
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
        .whole("attention.head_count_kv", "num_key_value_heads")
        .real("attention.layer_norm_rms_epsilon", "rms_norm_eps", 1e-6);
  }

  private static GgufFamily.Builder llamaLike(String type, String modelClass, String architecture) {
    return common(type, modelClass, architecture).fixed("hidden_act", "silu", "silu");
  }

  private static GgufFamily.Builder qwenExperts(GgufFamily.Builder family) {
    return family
        .without("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
        .modules("mlp.gate", "ffn_gate_inp")
        .experts("mlp.experts.", "gate_proj", "up_proj", "down_proj")
        .whole("expert_count", "num_experts")
        .whole("expert_used_count", "num_experts_per_tok")
        .whole("expert_feed_forward_length", "moe_intermediate_size");
  }

  private static GgufFamily.Builder gemma(String type, String modelClass, String architecture) {
    return common(type, modelClass, architecture)
        .normsPlusOne()
        .modules(
            "post_attention_layernorm",
            "post_attention_norm",
            "pre_feedforward_layernorm",
            "ffn_norm",
            "post_feedforward_layernorm",
            "post_ffw_norm")
        .real("final_logit_softcapping", "final_logit_softcapping")
        .fixed("hidden_activation", "gelu_pytorch_tanh", "gelu_pytorch_tanh");
  }

  /** Gate and up projection are one matrix. */
  private static GgufFamily.Builder fused(GgufFamily.Builder family) {
    return family.without("mlp.gate_proj", "mlp.up_proj").modules("mlp.gate_up_proj", "ffn_up");
  }

  /** That of a {@code model_type}, if it is known. */
  public static Optional<GgufFamily> find(String modelType) {
    return ALL.stream().filter(family -> family.modelType().equals(modelType)).findFirst();
  }

  /** All model types, for messages. */
  public static String modelTypes() {
    return ALL.stream().map(GgufFamily::modelType).collect(Collectors.joining(", "));
  }

  /** That of a file; throws {@link BadInputException} if it is not known. */
  static GgufFamily of(GgufValues values) {
    String architecture =
        values
            .text(ARCHITECTURE)
            .orElseThrow(() ->
                new BadInputException(
                    "%s: '%s' is missing; is the file a model?"
                        .formatted(values.file(), ARCHITECTURE)));
    boolean experts = values.integer(architecture + ".expert_count").orElse(0) > 0;
    return ALL.stream()
        .filter(family -> family.architecture().equals(architecture))
        .filter(family -> family.experts().isEmpty() != experts)
        .findFirst()
        .orElseThrow(() ->
            new BadInputException(
                "%s: the architecture is '%s'%s, which cannot be read; these can: %s"
                    .formatted(
                        values.file(),
                        architecture,
                        experts ? " with experts" : "",
                        ALL.stream()
                            .map(GgufFamily::architecture)
                            .distinct()
                            .collect(Collectors.joining(", ")))));
  }
}
