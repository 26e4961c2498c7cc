package dev.gptq.bench.checkpoint;

import com.google.common.collect.ImmutableList;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Sizes of a model of the OPT family.
 *
 * @param hidden features of the residual stream
 * @param layers blocks
 * @param heads attention heads
 * @param feedForward features inside the feed-forward layer
 * @param vocabulary rows of the embedding, which is also the head
 * @param context positions
 */
public record OptShape(
    long hidden, long layers, long heads, long feedForward, long vocabulary, long context)
    implements ModelShape {
  private static final String BASE = "model.decoder.";

  /** The table of positions begins with two rows that are not used. */
  private static final int FIRST_POSITION = 2;

  @Override
  public WeightType type() {
    return WeightType.FLOAT16;
  }

  @Override
  public OptShape withLayers(long count) {
    return new OptShape(hidden, count, heads, feedForward, vocabulary, context);
  }

  @Override
  public ObjectNode config() {
    ObjectNode config =
        JsonMapper.shared()
            .createObjectNode()
            .put("model_type", "opt")
            .put("hidden_size", hidden)
            .put("word_embed_proj_dim", hidden)
            .put("num_hidden_layers", layers)
            .put("num_attention_heads", heads)
            .put("ffn_dim", feedForward)
            .put("vocab_size", vocabulary)
            .put("max_position_embeddings", context)
            .put("do_layer_norm_before", true)
            .put("enable_bias", true)
            .put("activation_function", "relu")
            .put("tie_word_embeddings", true)
            .put("torch_dtype", type().id());
    config.putArray("architectures").add("OPTForCausalLM");
    return config;
  }

  @Override
  public ImmutableList<TensorShape> tensors() {
    ImmutableList.Builder<TensorShape> tensors = ImmutableList.builder();
    tensors.add(
        TensorShape.of(BASE + "embed_tokens.weight", vocabulary, hidden),
        TensorShape.of(BASE + "embed_positions.weight", context + FIRST_POSITION, hidden));
    addVectors(tensors, BASE + "final_layer_norm", hidden);
    for (int layer = 0; layer < layers; layer++) {
      String prefix = BASE + "layers." + layer + ".";
      for (String module : new String[] {"k_proj", "v_proj", "q_proj", "out_proj"}) {
        addLinear(tensors, prefix + "self_attn." + module, hidden, hidden);
      }
      addVectors(tensors, prefix + "self_attn_layer_norm", hidden);
      addLinear(tensors, prefix + "fc1", feedForward, hidden);
      addLinear(tensors, prefix + "fc2", hidden, feedForward);
      addVectors(tensors, prefix + "final_layer_norm", hidden);
    }
    return tensors.build();
  }

  private static void addLinear(
      ImmutableList.Builder<TensorShape> tensors, String module, long outputs, long inputs) {
    tensors.add(
        TensorShape.of(module + ".weight", outputs, inputs),
        TensorShape.of(module + ".bias", outputs));
  }

  private static void addVectors(
      ImmutableList.Builder<TensorShape> tensors, String norm, long size) {
    tensors.add(TensorShape.of(norm + ".weight", size), TensorShape.of(norm + ".bias", size));
  }
}
