package dev.gptq.models.family;

import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.List;

/**
 * DeepSeek V2, V3 and their relatives: keys and values from a common latent, queries perhaps from
 * another, a part of each head rotated and that of the keys shared; the first layers dense, the
 * others with experts. Where an indexer chooses which positions a query sees (DeepSeek V3.2,
 * GLM-5), it chooses all of a window that is no longer than their number, and longer ones are not
 * taken. Youtu has dense layers only.
 */
final class DeepSeekFamily implements ModelFamily {

  private static final ImmutableMap<String, String> NAMES =
      ImmutableMap.of(
          "deepseek_v2", "DeepSeek V2",
          "deepseek_v3", "DeepSeek V3",
          "kimi_k2", "Kimi K2",
          "deepseek_v32", "DeepSeek V3.2",
          "glm_moe_dsa", "GLM-5",
          "glm4_moe_lite", "GLM-4-MoE-Lite",
          "mistral4", "Mistral 4",
          "youtu", "Youtu");

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.copyOf(NAMES.keySet());
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    LatentAttention attention = LatentAttention.of(config, turnsNeighbours(config));
    boolean bias = hasBias(config);
    DecoderSpec spec =
        LlamaLayout.decoder(
            NAMES.get(config.modelType()),
            config,
            config.modelType().equals("youtu"),
            layer ->
                isDense(config, layer, dense(config))
                    ? LlamaLayout.block(config, attention, LlamaLayout.feedForward(config, bias))
                    : LlamaLayout.block(config, attention, experts(config)));
    return config.has("index_topk")
        ? spec.withContext(Math.min(spec.context(), config.context("index_topk")))
        : spec;
  }

  /** Whether channels side by side turn together, whatever {@code rope_interleave} says. */
  private static boolean turnsNeighbours(ModelConfig config) {
    return switch (config.modelType()) {
      case "deepseek_v2", "deepseek_v32", "glm_moe_dsa" -> true;
      default -> false;
    };
  }

  /** Only version 2 reads {@code mlp_bias}, though the files of others have it. */
  static boolean hasBias(ModelConfig config) {
    return config.modelType().equals("deepseek_v2") && config.booleanValue("mlp_bias", false);
  }

  private static Experts experts(ModelConfig config) {
    return switch (config.modelType()) {
      case "deepseek_v2" -> DeepSeekExperts.softmax(config);
      case "mistral4" -> DeepSeekExperts.normalised(config);
      default -> DeepSeekExperts.sigmoid(config);
    };
  }

  /** The number of dense layers before the others, where no switch says it. */
  private static int dense(ModelConfig config) {
    return switch (config.modelType()) {
      case "deepseek_v2", "mistral4" -> 0;
      case "glm4_moe_lite" -> 1;
      case "youtu" -> Integer.MAX_VALUE;
      default -> 3;
    };
  }

  /** Whether a layer has no experts. */
  static boolean isDense(ModelConfig config, int layer, int dense) {
    List<String> types = config.stringList("mlp_layer_types");
    if (layer < types.size()) {
      return switch (types.get(layer)) {
        case "dense" -> true;
        case "sparse" -> false;
        default ->
            throw Switches.refused(
                config, "mlp_layer_types", types.get(layer), "dense and sparse are supported");
      };
    }
    return layer < config.intValue("first_k_dense_replace", dense);
  }
}
