package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/**
 * Qwen 2 and 3. Version 2 gives queries, keys and values a bias; version 3 normalises queries and
 * keys head by head instead, and may have experts. Some layers may see a sliding window only. The
 * text models of those that see are the same: for text, rotary positions of three axes are those of
 * one.
 */
final class QwenFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of(
        "qwen2",
        "qwen3",
        "qwen2_moe",
        "qwen3_moe",
        "qwen2_vl",
        "qwen2_vl_text",
        "qwen2_5_vl",
        "qwen2_5_vl_text",
        "qwen3_vl_text",
        "qwen3_vl_moe_text");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    return switch (config.modelType()) {
      case "qwen2", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text" ->
          LlamaLayout.decoder("Qwen2", config, false, layer -> dense(config, layer));
      case "qwen3", "qwen3_vl_text" ->
          LlamaLayout.decoder("Qwen3", config, false, layer -> dense(config, layer));
      case "qwen2_moe" ->
          LlamaLayout.decoder("Qwen2-MoE", config, false, layer -> sparse(config, layer));
      default -> LlamaLayout.decoder("Qwen3-MoE", config, false, layer -> sparse(config, layer));
    };
  }

  private static ImmutableList<Step> dense(ModelConfig config, int layer) {
    int inner = config.size("intermediate_size");
    return LlamaLayout.block(
        config, attention(config, layer), LlamaLayout.feedForward(config, "mlp.", inner, false));
  }

  private static ImmutableList<Step> sparse(ModelConfig config, int layer) {
    boolean dense =
        config.intList("mlp_only_layers").contains(layer)
            || (layer + 1) % config.intBetween("decoder_sparse_step", 1, Integer.MAX_VALUE, 1) != 0;
    if (dense) {
      return dense(config, layer);
    }
    return LlamaLayout.block(config, attention(config, layer), experts(config));
  }

  /** The experts, and in the older version the layer that all tokens take behind a gate. */
  static Experts experts(ModelConfig config) {
    int inner = config.size("moe_intermediate_size");
    int count =
        config.experts(config.blocks("num_hidden_layers"), "num_experts", "num_local_experts");
    boolean normalised =
        config.booleanValue("norm_topk_prob", config.modelType().equals("qwen3_vl_moe_text"));
    Experts experts =
        new Experts(
            "mlp.gate",
            config.size("hidden_size"),
            Routing.softmax(config.intBetween("num_experts_per_tok", 1, count), normalised),
            LlamaLayout.experts(config, "mlp.experts.", count, inner));
    return config.has("shared_expert_intermediate_size")
        ? experts.withShared(
            LlamaLayout.feedForward(
                config,
                "mlp.shared_expert.",
                config.intValue("shared_expert_intermediate_size"),
                false),
            Optional.of("mlp.shared_expert_gate"))
        : experts;
  }

  private static SelfAttention attention(ModelConfig config, int layer) {
    boolean windows = config.booleanValue("use_sliding_window", false);
    SelfAttention plain = SelfAttention.of(config, windows ? window(config, layer) : 0);
    if (config.modelType().startsWith("qwen2")) {
      return plain.withBias(config.booleanValue("qkv_bias", true), false);
    }
    boolean bias = config.booleanValue("attention_bias", false);
    return plain
        .withBias(bias, bias)
        .withHeadNorm(NormSpec.Kind.RMS, config.doubleValue("rms_norm_eps", 1e-6));
  }

  /** Which layers have a window, if any has: late ones, every other early one, or all. */
  private static int window(ModelConfig config, int layer) {
    int bound = config.intValue("max_window_layers", 28);
    return switch (config.modelType()) {
      case "qwen3_moe" -> config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 0);
      case "qwen2_moe" -> LlamaLayout.window(config, layer, layer % 2 == 0 && layer < bound);
      default -> LlamaLayout.window(config, layer, layer >= bound);
    };
  }
}
