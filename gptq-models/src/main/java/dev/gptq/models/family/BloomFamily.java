package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;

/** BLOOM: ALiBi, a norm behind the embedding, query, key and value side by side in each head. */
final class BloomFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("bloom");
  }

  @Override
  public String base() {
    return "transformer.";
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    int hidden = config.size("hidden_size", "n_embed");
    ClassicBlock parts =
        new ClassicBlock(
            hidden,
            config.headsOf(hidden, "n_head", "num_attention_heads"),
            4 * hidden,
            (float) config.doubleValue("layer_norm_epsilon", 1e-5),
            true,
            LinearSpec.Storage.OUT_IN);
    boolean behind = config.booleanValue("apply_residual_connection_post_layernorm", false);
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.blocks("n_layer", "num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec("transformer.h." + layer + ".", steps(parts, behind)));
    }
    String embedding = "transformer.word_embeddings.weight";
    boolean tied = config.booleanValue("tie_word_embeddings", true);
    return new DecoderSpec(
        "BLOOM",
        config.size("vocab_size"),
        hidden,
        config.context("seq_length", 2048),
        new DecoderSpec.Embedding(embedding, hidden),
        new BlockSpec(
            "transformer.", ImmutableList.of(parts.norm("x", "x", "word_embeddings_layernorm"))),
        blocks.build(),
        new BlockSpec("transformer.", ImmutableList.of(parts.norm("x", "x", "ln_f"))),
        new DecoderSpec.Head(tied ? embedding : "lm_head.weight"),
        config.intList("eos_token_id"));
  }

  /** Attention and feed-forward are added to what they read, before its norm or behind it. */
  private static ImmutableList<Step> steps(ClassicBlock parts, boolean behind) {
    int hidden = parts.hidden();
    String n = behind ? "x" : "n";
    String m = behind ? "x" : "m";
    return ImmutableList.<Step>builder()
        .add(parts.norm("x", n, "input_layernorm"))
        .addAll(parts.fused(n, "self_attention.query_key_value", parts.heads()))
        .add(parts.attention(true))
        .add(parts.linear("a", "self_attention.dense", "o", hidden, hidden))
        .add(new Step.Add("o", "x"))
        .add(parts.norm("x", m, "post_attention_layernorm"))
        .addAll(
            parts.feedForward(
                m, "mlp.dense_h_to_4h", Activation.GELU_TANH, "mlp.dense_4h_to_h", "d"))
        .add(new Step.Add("d", "x"))
        .build();
  }
}
