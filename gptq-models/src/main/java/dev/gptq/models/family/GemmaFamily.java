package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * Gemma 2: norms before and behind attention and feed-forward whose gains are stored less by one,
 * scaled embeddings, soft caps on scores and logits, a sliding window in every other layer.
 */
final class GemmaFamily implements ModelFamily {
  private static final String EMBEDDING = "model.embed_tokens.weight";

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("gemma2");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    Switches.require(config, "use_bidirectional_attention", false);
    int hidden = config.intValue("hidden_size");
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.intValue("num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec("model.layers." + layer + ".", steps(config, layer)));
    }
    boolean tied = config.booleanValue("tie_word_embeddings", true);
    return new DecoderSpec(
        "Gemma 2",
        config.intValue("vocab_size"),
        hidden,
        config.intValue("max_position_embeddings", 8192),
        new DecoderSpec.Embedding(EMBEDDING, hidden),
        new BlockSpec("", ImmutableList.of(new Step.Scale((float) Math.sqrt(hidden), "x"))),
        blocks.build(),
        new BlockSpec("model.", ImmutableList.of(norm(config, "x", "x", "norm"))),
        new DecoderSpec.Head(
            tied ? EMBEDDING : "lm_head.weight", cap(config, "final_logit_softcapping")),
        Optional.of(Ropes.of(config, config.headDim())),
        config.intList("eos_token_id"));
  }

  private static ImmutableList<Step> steps(ModelConfig config, int layer) {
    double scalar = config.doubleValue("query_pre_attn_scalar", 256);
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention =
        SelfAttention.of(config, LlamaLayout.window(config, layer, layer % 2 == 0))
            .withBias(bias, bias)
            .withScores((float) (1 / Math.sqrt(scalar)), cap(config, "attn_logit_softcapping"));
    Activation function =
        Switches.activation(
            config,
            config.has("hidden_activation") ? "hidden_activation" : "hidden_act",
            "gelu_pytorch_tanh");
    FeedForward feedForward =
        FeedForward.named(
            "mlp.",
            config.intValue("hidden_size"),
            config.intValue("intermediate_size"),
            function,
            false);
    return ImmutableList.<Step>builder()
        .add(norm(config, "x", "n", "input_layernorm"))
        .addAll(attention.steps("n", "o"))
        .add(norm(config, "o", "o", "post_attention_layernorm"))
        .add(new Step.Add("o", "x"))
        .add(norm(config, "x", "m", "pre_feedforward_layernorm"))
        .addAll(feedForward.steps("m", "d"))
        .add(norm(config, "d", "d", "post_feedforward_layernorm"))
        .add(new Step.Add("d", "x"))
        .build();
  }

  /** A cap that is null is none. */
  private static float cap(ModelConfig config, String key) {
    return (float) config.doubleValue(key, 0);
  }

  private static Step norm(ModelConfig config, String in, String out, String name) {
    return new Step.Norm(
        in,
        out,
        new NormSpec(
            name,
            NormSpec.Kind.RMS_PLUS_ONE,
            config.intValue("hidden_size"),
            (float) config.doubleValue("rms_norm_eps", 1e-6)));
  }
}
