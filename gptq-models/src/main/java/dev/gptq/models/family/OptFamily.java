package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;

/**
 * OPT: learned positions from row 2 on, norms before or behind attention and feed-forward,
 * embeddings that may be smaller than the residual stream.
 */
final class OptFamily implements ModelFamily {
  private static final String BASE = "model.decoder.";
  private static final int FIRST_POSITION = 2;

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("opt");
  }

  @Override
  public String base() {
    return "model.";
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean affine = config.booleanValue("layer_norm_elementwise_affine", true);
    int hidden = config.size("hidden_size");
    int embedded = config.size("word_embed_proj_dim", hidden);
    int context = config.context("max_position_embeddings");
    ClassicBlock parts =
        new ClassicBlock(
            hidden,
            config.headsOf(hidden, "num_attention_heads"),
            config.size("ffn_dim"),
            1e-5f,
            config.booleanValue("enable_bias", true),
            LinearSpec.Storage.OUT_IN,
            affine ? NormSpec.Kind.LAYER : NormSpec.Kind.LAYER_PLAIN);
    boolean before = config.booleanValue("do_layer_norm_before", true);
    Activation function = Switches.activation(config, "activation_function", "relu");
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.blocks("num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec(BASE + "layers." + layer + ".", steps(parts, function, before)));
    }
    ImmutableList.Builder<Step> opening = ImmutableList.builder();
    ImmutableList.Builder<Step> closing = ImmutableList.builder();
    if (embedded != hidden) {
      opening.add(projection("project_in", hidden, embedded));
    }
    opening.add(
        new Step.Positions(
            "embed_positions.weight", context + FIRST_POSITION, hidden, FIRST_POSITION, "x"));
    if (before && !config.booleanValue("_remove_final_layer_norm", false)) {
      closing.add(parts.norm("x", "x", "final_layer_norm"));
    }
    if (embedded != hidden) {
      closing.add(projection("project_out", embedded, hidden));
    }
    String embedding = BASE + "embed_tokens.weight";
    boolean tied = config.booleanValue("tie_word_embeddings", true);
    return new DecoderSpec(
        "OPT",
        config.size("vocab_size"),
        hidden,
        context,
        new DecoderSpec.Embedding(embedding, embedded),
        new BlockSpec(BASE, opening.build()),
        blocks.build(),
        new BlockSpec(BASE, closing.build()),
        new DecoderSpec.Head(tied ? embedding : "lm_head.weight"),
        config.intList("eos_token_id"));
  }

  private static Step projection(String module, int outputs, int inputs) {
    return new Step.Linears(
        "x", ImmutableList.of(new LinearSpec(module, "x", outputs, inputs, false)));
  }

  private static ImmutableList<Step> steps(
      ClassicBlock parts, Activation function, boolean before) {
    int hidden = parts.hidden();
    String n = before ? "n" : "x";
    String m = before ? "m" : "x";
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    if (before) {
      steps.add(parts.norm("x", "n", "self_attn_layer_norm"));
    }
    steps
        .add(
            new Step.Linears(
                n,
                ImmutableList.of(
                    parts.spec("self_attn.k_proj", "k", hidden, hidden),
                    parts.spec("self_attn.v_proj", "v", hidden, hidden),
                    parts.spec("self_attn.q_proj", "q", hidden, hidden))))
        .add(parts.attention(false))
        .add(parts.linear("a", "self_attn.out_proj", "o", hidden, hidden))
        .add(new Step.Add("o", "x"))
        .add(parts.norm("x", m, before ? "final_layer_norm" : "self_attn_layer_norm"))
        .addAll(parts.feedForward(m, "fc1", function, "fc2", "d"))
        .add(new Step.Add("d", "x"));
    if (!before) {
      steps.add(parts.norm("x", "x", "final_layer_norm"));
    }
    return steps.build();
  }
}
