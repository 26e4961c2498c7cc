package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * ERNIE 4.5 with experts: softmax scores that are corrected when choosing, shared experts, some
 * layers dense. Experts that are chosen have no biases, whatever {@code use_bias} says.
 */
final class ErnieMoeFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("ernie4_5_moe");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("rope_theta", 5e5));
    boolean bias = config.booleanValue("use_bias", false);
    SelfAttention attention = ErnieFamily.attention(config, bias);
    DecoderSpec spec =
        LlamaLayout.decoder(
            "ERNIE 4.5 MoE",
            config,
            true,
            layer ->
                isSparse(config, layer)
                    ? LlamaLayout.block(config, attention, experts(config, bias))
                    : LlamaLayout.block(config, attention, LlamaLayout.feedForward(config, bias)));
    return bias ? spec.withHead(spec.head().withBias("lm_head.bias")) : spec;
  }

  private static boolean isSparse(ModelConfig config, int layer) {
    int last = config.intValue("moe_layer_end_index", -1);
    return (layer + 1) % config.intBetween("moe_layer_interval", 1, Integer.MAX_VALUE, 1) == 0
        && layer >= config.intValue("moe_layer_start_index", 1)
        && (last == -1 || layer <= last);
  }

  private static Experts experts(ModelConfig config, boolean bias) {
    int inner = config.size("moe_intermediate_size");
    Experts experts =
        new Experts(
            "mlp.gate",
            config.size("hidden_size"),
            Routing.softmax(config.anyInt("moe_k", "num_experts_per_tok"), true)
                .withCorrection("mlp.moe_statics.e_score_correction_bias"),
            LlamaLayout.experts(
                config,
                "mlp.experts.",
                config.experts(
                    config.blocks("num_hidden_layers"), "moe_num_experts", "num_experts"),
                inner));
    int shared = config.intValue("moe_num_shared_experts", 2);
    return shared == 0
        ? experts
        : experts.withShared(
            LlamaLayout.feedForward(config, "mlp.shared_experts.", shared * inner, bias),
            Optional.empty());
  }
}
