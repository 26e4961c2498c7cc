package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Routing.Groups;
import dev.gptq.models.family.Routing.Score;
import java.util.Optional;

/**
 * MiniMax M2: all queries and all keys normalised together, experts in every layer with logistic
 * scores that are corrected when choosing.
 */
final class MiniMaxFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("minimax_m2");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = rotated(given.or(ImmutableMap.of("rope_theta", 5e6)));
    SelfAttention attention =
        SelfAttention.of(config, 0).withWholeNorm(config.doubleValue("rms_norm_eps", 1e-6));
    Routing routing =
        new Routing(
                config.intBetween(
                    "num_experts_per_tok",
                    1,
                    config.experts(
                        config.blocks("num_hidden_layers"), "num_local_experts", "num_experts")),
                Score.SIGMOID,
                true,
                1,
                Optional.empty(),
                Groups.NONE)
            .withCorrection("block_sparse_moe.e_score_correction_bias");
    Experts experts =
        new Experts(
            "block_sparse_moe.gate",
            config.size("hidden_size"),
            routing,
            MixtralFamily.experts(
                config,
                "block_sparse_moe.experts.",
                config.experts(
                    config.blocks("num_hidden_layers"), "num_local_experts", "num_experts")));
    return LlamaLayout.decoder(
        "MiniMax M2", config, false, layer -> LlamaLayout.block(config, attention, experts));
  }

  /** Files of transformers 4 say how many channels are rotated; in those of 5 it is a factor. */
  private static ModelConfig rotated(ModelConfig config) {
    if (config.has("rope_parameters") || !config.has("rotary_dim")) {
      return config;
    }
    double factor = (double) config.intValue("rotary_dim") / config.headDim();
    return config.or(ImmutableMap.of("partial_rotary_factor", factor));
  }
}
