package dev.gptq.bench.checkpoint;

import com.google.common.collect.ImmutableList;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Sizes of a model of the Llama family.
 *
 * @param hidden features of the residual stream
 * @param layers blocks
 * @param heads query heads
 * @param keyValueHeads key and value heads
 * @param feedForward features inside the feed-forward layer
 * @param vocabulary rows of embedding and head
 * @param context positions
 * @param theta base of the rotary frequencies
 * @param type of the weights
 */
public record LlamaShape(
    long hidden,
    long layers,
    long heads,
    long keyValueHeads,
    long feedForward,
    long vocabulary,
    long context,
    double theta,
    WeightType type)
    implements ModelShape {

  @Override
  public LlamaShape withLayers(long count) {
    return new LlamaShape(
        hidden, count, heads, keyValueHeads, feedForward, vocabulary, context, theta, type);
  }

  @Override
  public ObjectNode config() {
    ObjectNode config =
        JsonMapper.shared()
            .createObjectNode()
            .put("model_type", "llama")
            .put("hidden_size", hidden)
            .put("num_hidden_layers", layers)
            .put("num_attention_heads", heads)
            .put("num_key_value_heads", keyValueHeads)
            .put("intermediate_size", feedForward)
            .put("vocab_size", vocabulary)
            .put("max_position_embeddings", context)
            .put("rope_theta", theta)
            .put("rms_norm_eps", 1e-5)
            .put("hidden_act", "silu")
            .put("attention_bias", false)
            .put("mlp_bias", false)
            .put("tie_word_embeddings", false)
            .put("torch_dtype", type.id());
    config.putArray("architectures").add("LlamaForCausalLM");
    return config;
  }

  @Override
  public ImmutableList<TensorShape> tensors() {
    long shared = hidden / heads * keyValueHeads;
    ImmutableList.Builder<TensorShape> tensors = ImmutableList.builder();
    tensors.add(TensorShape.of("model.embed_tokens.weight", vocabulary, hidden));
    for (int layer = 0; layer < layers; layer++) {
      String prefix = "model.layers." + layer + ".";
      tensors.addAll(TensorShape.attention(prefix, hidden, hidden, shared));
      tensors.add(
          TensorShape.of(prefix + "post_attention_layernorm.weight", hidden),
          TensorShape.of(prefix + "mlp.gate_proj.weight", feedForward, hidden),
          TensorShape.of(prefix + "mlp.up_proj.weight", feedForward, hidden),
          TensorShape.of(prefix + "mlp.down_proj.weight", hidden, feedForward));
    }
    return tensors
        .add(TensorShape.of("model.norm.weight", hidden))
        .add(TensorShape.of("lm_head.weight", vocabulary, hidden))
        .build();
  }
}
