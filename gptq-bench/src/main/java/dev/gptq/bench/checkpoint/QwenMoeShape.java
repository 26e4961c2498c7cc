package dev.gptq.bench.checkpoint;

import com.google.common.collect.ImmutableList;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Sizes of a Qwen3 model with experts.
 *
 * @param hidden features of the residual stream
 * @param layers blocks
 * @param heads query heads
 * @param keyValueHeads key and value heads
 * @param headSize channels of a head
 * @param experts experts of a block
 * @param chosen experts of a token
 * @param expertInner features inside an expert
 * @param vocabulary rows of embedding and head
 * @param context positions
 */
public record QwenMoeShape(
    long hidden,
    long layers,
    long heads,
    long keyValueHeads,
    long headSize,
    long experts,
    long chosen,
    long expertInner,
    long vocabulary,
    long context)
    implements ModelShape {

  @Override
  public WeightType type() {
    return WeightType.BFLOAT16;
  }

  @Override
  public QwenMoeShape withLayers(long count) {
    return new QwenMoeShape(
        hidden,
        count,
        heads,
        keyValueHeads,
        headSize,
        experts,
        chosen,
        expertInner,
        vocabulary,
        context);
  }

  @Override
  public ObjectNode config() {
    ObjectNode config =
        JsonMapper.shared()
            .createObjectNode()
            .put("model_type", "qwen3_moe")
            .put("hidden_size", hidden)
            .put("num_hidden_layers", layers)
            .put("num_attention_heads", heads)
            .put("num_key_value_heads", keyValueHeads)
            .put("head_dim", headSize)
            .put("num_experts", experts)
            .put("num_experts_per_tok", chosen)
            .put("norm_topk_prob", true)
            .put("moe_intermediate_size", expertInner)
            .put("intermediate_size", 8 * expertInner)
            .put("decoder_sparse_step", 1)
            .put("vocab_size", vocabulary)
            .put("max_position_embeddings", context)
            .put("rope_theta", 1_000_000.0)
            .put("rms_norm_eps", 1e-6)
            .put("hidden_act", "silu")
            .put("attention_bias", false)
            .put("tie_word_embeddings", false)
            .put("torch_dtype", type().id());
    config.putArray("mlp_only_layers");
    config.putArray("architectures").add("Qwen3MoeForCausalLM");
    return config;
  }

  @Override
  public ImmutableList<TensorShape> tensors() {
    long queries = heads * headSize;
    long shared = keyValueHeads * headSize;
    ImmutableList.Builder<TensorShape> tensors = ImmutableList.builder();
    tensors.add(TensorShape.of("model.embed_tokens.weight", vocabulary, hidden));
    for (int layer = 0; layer < layers; layer++) {
      String prefix = "model.layers." + layer + ".";
      tensors.addAll(TensorShape.attention(prefix, hidden, queries, shared));
      tensors.add(
          TensorShape.of(prefix + "self_attn.q_norm.weight", headSize),
          TensorShape.of(prefix + "self_attn.k_norm.weight", headSize),
          TensorShape.of(prefix + "post_attention_layernorm.weight", hidden),
          TensorShape.of(prefix + "mlp.gate.weight", experts, hidden));
      for (int expert = 0; expert < experts; expert++) {
        String name = prefix + "mlp.experts." + expert + ".";
        tensors.add(
            TensorShape.of(name + "gate_proj.weight", expertInner, hidden),
            TensorShape.of(name + "up_proj.weight", expertInner, hidden),
            TensorShape.of(name + "down_proj.weight", hidden, expertInner));
      }
    }
    return tensors
        .add(TensorShape.of("model.norm.weight", hidden))
        .add(TensorShape.of("lm_head.weight", vocabulary, hidden))
        .build();
  }
}
