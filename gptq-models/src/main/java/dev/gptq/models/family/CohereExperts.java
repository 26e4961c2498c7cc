package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Routing.Groups;
import dev.gptq.models.family.Routing.Score;
import java.util.Optional;

/**
 * Command with experts: the layers of {@link CohereFamily}, the first perhaps dense, the others
 * with experts beside attention and perhaps layers that all tokens take, added or averaged.
 */
final class CohereExperts {
  private CohereExperts() {}

  static DecoderSpec describe(ModelConfig config) {
    boolean bias = config.booleanValue("attention_bias", false);
    DecoderSpec spec =
        LlamaLayout.decoder(
            "Command with experts",
            config,
            true,
            norm(config, "norm"),
            layer -> {
              boolean dense = DeepSeekFamily.isDense(config, layer, 0);
              Body attention = attention(config, layer, dense).withBias(bias, bias);
              return dense
                  ? Branch.parallel(norm(config, "input_layernorm"), attention, dense(config))
                  : sparse(config, attention);
            });
    return CohereFamily.scaled(config, spec);
  }

  private static ImmutableList<Step> sparse(ModelConfig config, Body attention) {
    return ImmutableList.<Step>builder()
        .add(new Step.Norm(Step.RESIDUAL, "n", norm(config, "input_layernorm")))
        .addAll(attention.steps("n", "o"))
        .add(new Step.Add("o", Step.RESIDUAL))
        .addAll(experts(config).steps("n", Step.RESIDUAL))
        .build();
  }

  /** Dense layers before the others have a pattern of their own, and are rotated where it is 1. */
  private static SelfAttention attention(ModelConfig config, int layer, boolean dense) {
    int own = config.intBetween("prefix_dense_sliding_window_pattern", 1, Integer.MAX_VALUE, 1);
    int first = config.intValue("first_k_dense_replace", 0);
    int every = config.intBetween("sliding_window_pattern", 1, Integer.MAX_VALUE, 4);
    boolean pattern = layer < first ? (layer + 1) % own != 0 : (layer - first + 1) % every != 0;
    boolean sliding = LlamaLayout.isSliding(config, layer, pattern);
    int window = config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 4096);
    boolean rotated = sliding || (dense && own == 1);
    return SelfAttention.of(config, sliding ? window : 0)
        .withRope(rotated ? Optional.of(CohereFamily.rope(config)) : Optional.empty());
  }

  private static Body dense(ModelConfig config) {
    int inner = config.size("intermediate_size");
    return LlamaLayout.feedForward(
        config, "mlp.", config.size("prefix_dense_intermediate_size", inner), false);
  }

  private static Experts experts(ModelConfig config) {
    int count = config.experts(config.blocks("num_hidden_layers"), "num_experts");
    int inner = config.size("intermediate_size");
    int shared = config.intBetween("num_shared_experts", 0, Integer.MAX_VALUE / inner, 0);
    double share = shared > 0 && isAveraged(config) ? 0.5 : 1;
    Experts experts =
        new Experts(
            "mlp.gate",
            config.size("hidden_size"),
            routing(config, count).withScaling(share),
            LlamaLayout.experts(config, "mlp.experts.", count, inner));
    if (shared == 0) {
      return experts;
    }
    Body all = LlamaLayout.feedForward(config, "mlp.shared_experts.", shared * inner, false);
    Body scaled =
        (in, out) ->
            ImmutableList.<Step>builder()
                .addAll(all.steps(in, out))
                .add(new Step.Scale((float) share, out))
                .build();
    return experts.withShared(share == 1 ? all : scaled, Optional.empty());
  }

  private static boolean isAveraged(ModelConfig config) {
    String strategy = config.stringValue("shared_expert_combination_strategy", "average");
    return switch (strategy) {
      case "average" -> true;
      case "sum" -> false;
      default ->
          throw Switches.refused(
              config,
              "shared_expert_combination_strategy",
              strategy,
              "average and sum are supported");
    };
  }

  private static Routing routing(ModelConfig config, int count) {
    int chosen = config.intBetween("num_experts_per_tok", 1, count, Math.min(2, count));
    String function = config.stringValue("expert_selection_fn", "softmax");
    return switch (function) {
      // The softmax over the chosen ones is that over all, divided by their sum.
      case "softmax" -> Routing.softmax(chosen, true);
      case "sigmoid" ->
          new Routing(
              chosen,
              Score.SIGMOID,
              config.booleanValue("norm_topk_prob", true),
              1,
              Optional.empty(),
              Groups.NONE);
      default ->
          throw Switches.refused(
              config, "expert_selection_fn", function, "softmax and sigmoid are supported");
    };
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return config.has("rms_norm_eps")
        ? LlamaLayout.norm(config, name)
        : CohereFamily.norm(config, name);
  }
}
