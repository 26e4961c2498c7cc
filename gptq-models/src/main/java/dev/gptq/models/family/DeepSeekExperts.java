package dev.gptq.models.family;

import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Routing.Groups;
import dev.gptq.models.family.Routing.Score;
import java.util.Optional;

/** Experts as DeepSeek has them, which others took over: groups, a factor, shared experts. */
final class DeepSeekExperts {
  private DeepSeekExperts() {}

  /** Version 3: logistic scores, corrected when choosing, groups compared by their two best. */
  static Experts sigmoid(ModelConfig config) {
    return sigmoid(config, "mlp.gate.e_score_correction_bias");
  }

  /** The same with another name for the correction. */
  static Experts sigmoid(ModelConfig config, String correction) {
    return experts(
        config,
        routing(
            config,
            Score.SIGMOID,
            config.booleanValue("norm_topk_prob", true),
            Optional.of(correction),
            groups(config, Groups.Ranking.BEST_TWO)));
  }

  /**
   * Version 2: softmax scores, groups compared by their best, if there are groups. Transformers
   * does not read {@code norm_topk_prob}, which no published file sets.
   */
  static Experts softmax(ModelConfig config) {
    String method = config.stringValue("topk_method", "greedy");
    Groups groups =
        switch (method) {
          case "greedy" -> Groups.NONE;
          case "group_limited_greedy" -> groups(config, Groups.Ranking.BEST);
          default ->
              throw Switches.refused(
                  config, "topk_method", method, "greedy and group_limited_greedy are supported");
        };
    return experts(config, routing(config, Score.SOFTMAX, false, Optional.empty(), groups));
  }

  /** Mistral 4: softmax scores, groups compared by their two best. */
  static Experts normalised(ModelConfig config) {
    return experts(
        config,
        routing(
            config,
            Score.SOFTMAX,
            config.booleanValue("norm_topk_prob", true),
            Optional.empty(),
            groups(config, Groups.Ranking.BEST_TWO)));
  }

  private static Routing routing(
      ModelConfig config,
      Score score,
      boolean normalised,
      Optional<String> correction,
      Groups groups) {
    return new Routing(
        config.intBetween("num_experts_per_tok", 1, count(config)),
        score,
        normalised,
        (float) config.doubleValue("routed_scaling_factor", 1),
        correction,
        groups);
  }

  private static Groups groups(ModelConfig config, Groups.Ranking ranking) {
    return new Groups(config.intValue("n_group", 1), config.intValue("topk_group", 1), ranking);
  }

  private static Experts experts(ModelConfig config, Routing routing) {
    int inner = config.size("moe_intermediate_size");
    int shared = config.intValue("n_shared_experts", 1);
    Experts experts =
        new Experts(
            "mlp.gate",
            config.size("hidden_size"),
            routing,
            LlamaLayout.experts(config, "mlp.experts.", count(config), inner));
    return experts.withShared(
        LlamaLayout.feedForward(
            config, "mlp.shared_experts.", shared * inner, DeepSeekFamily.hasBias(config)),
        Optional.empty());
  }

  private static int count(ModelConfig config) {
    return config.experts(
        config.blocks("num_hidden_layers"), "n_routed_experts", "num_local_experts");
  }
}
