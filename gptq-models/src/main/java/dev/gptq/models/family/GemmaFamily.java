package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * Gemma 1 to 3: gains that are stored less by one, scaled embeddings. Version 2 has norms behind
 * attention and feed-forward as well, soft caps on scores and logits, and a sliding window in every
 * other layer; version 3 has normalised heads instead of the cap on scores, whatever the file says,
 * and other rotary positions in layers with a window than in those without.
 */
final class GemmaFamily implements ModelFamily {
  /** What published files leave out. */
  private static final ImmutableMap<String, Object> OF_VERSION_3 =
      ImmutableMap.<String, Object>builder()
          .put("vocab_size", 262_208)
          .put("num_attention_heads", 8)
          .put("num_key_value_heads", 4)
          .put("head_dim", 256)
          .put("max_position_embeddings", 131_072)
          .put("sliding_window", 4096)
          .put("rope_theta", 1e6)
          .buildOrThrow();

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("gemma", "gemma2", "gemma3_text");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.modelType().equals("gemma3_text") ? given.or(OF_VERSION_3) : given;
    Switches.require(config, "use_bidirectional_attention", false);
    int hidden = config.size("hidden_size");
    String name =
        switch (config.modelType()) {
          case "gemma" -> "Gemma";
          case "gemma2" -> "Gemma 2";
          default -> "Gemma 3";
        };
    DecoderSpec spec =
        LlamaLayout.decoder(
            name, config, true, norm(config, "norm"), layer -> steps(config, layer));
    return spec.withOpening(new Step.Scale((float) Math.sqrt(hidden), "x"))
        .withHead(
            new DecoderSpec.Head(
                spec.head().matrix(), Optional.empty(), 1, cap(config, "final_logit_softcapping")));
  }

  private static ImmutableList<Step> steps(ModelConfig config, int layer) {
    Activation function =
        Switches.activation(
            config,
            config.has("hidden_activation") ? "hidden_activation" : "hidden_act",
            "gelu_pytorch_tanh");
    FeedForward feedForward =
        FeedForward.named(
            "mlp.", config.size("hidden_size"), config.size("intermediate_size"), function, false);
    boolean bias = config.booleanValue("attention_bias", false);
    if (config.modelType().equals("gemma")) {
      return Branch.block(
          Branch.before(
              norm(config, "input_layernorm"), SelfAttention.of(config, 0).withBias(bias, bias)),
          Branch.before(norm(config, "post_attention_layernorm"), feedForward));
    }
    return Branch.block(
        Branch.between(
            norm(config, "input_layernorm"),
            attention(config, layer).withBias(bias, bias),
            norm(config, "post_attention_layernorm")),
        Branch.between(
            norm(config, "pre_feedforward_layernorm"),
            feedForward,
            norm(config, "post_feedforward_layernorm")));
  }

  private static SelfAttention attention(ModelConfig config, int layer) {
    boolean third = config.modelType().equals("gemma3_text");
    int pattern =
        third
            ? config.intValue(
                "sliding_window_pattern", config.intValue("_sliding_window_pattern", 6))
            : 2;
    boolean sliding = LlamaLayout.isSliding(config, layer, (layer + 1) % pattern != 0);
    double scalar = config.doubleValue("query_pre_attn_scalar", 256);
    SelfAttention attention =
        SelfAttention.of(
                config, sliding ? config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 0) : 0)
            .withScores(
                (float) (1 / Math.sqrt(scalar)), third ? 0 : cap(config, "attn_logit_softcapping"));
    return third
        ? attention
            .withHeadNorm(NormSpec.Kind.RMS_PLUS_ONE, config.doubleValue("rms_norm_eps", 1e-6))
            .withRope(Optional.of(rope(config, sliding)))
        : attention;
  }

  /** Layers with a window have a base of their own; older files say so in a key of its own. */
  private static RopeSpec rope(ModelConfig config, boolean sliding) {
    String type = sliding ? "sliding_attention" : "full_attention";
    if (config.section("rope_parameters").flatMap(all -> all.section(type)).isPresent()) {
      return Ropes.of(config, config.rope(type), config.headDim());
    }
    return sliding
        ? Ropes.plain(config.doubleValue("rope_local_base_freq", 1e4), config.headDim())
        : Ropes.of(config, config.headDim());
  }

  /** A cap that is null is none. */
  private static float cap(ModelConfig config, String key) {
    return (float) config.doubleValue(key, 0);
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, NormSpec.Kind.RMS_PLUS_ONE, name, "rms_norm_eps", 1e-6);
  }
}
