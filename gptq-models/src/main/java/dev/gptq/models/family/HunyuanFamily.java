package dev.gptq.models.family;

import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.SelfAttention.QueryKeyNorm;
import java.util.Optional;

/**
 * Hunyuan: Llama whose rotated queries and keys are normalised head by head, perhaps with experts
 * beside a layer that all tokens take.
 */
final class HunyuanFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("hunyuan_v1_dense", "hunyuan_v1_moe");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean bias = config.booleanValue("attention_bias", false);
    float epsilon = (float) config.doubleValue("rms_norm_eps", 1e-5);
    int size = config.headDim();
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withNorms(
                new QueryKeyNorm(
                    new NormSpec("self_attn.query_layernorm", Kind.RMS, size, epsilon),
                    new NormSpec("self_attn.key_layernorm", Kind.RMS, size, epsilon),
                    true));
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    if (config.modelType().equals("hunyuan_v1_moe")) {
      Experts experts = experts(config);
      return LlamaLayout.decoder(
          "Hunyuan MoE", config, false, layer -> LlamaLayout.block(config, attention, experts));
    }
    return LlamaLayout.decoder(
        "Hunyuan", config, false, layer -> LlamaLayout.block(config, attention, feedForward));
  }

  private static Experts experts(ModelConfig config) {
    int count = config.experts(config.blocks("num_hidden_layers"), "num_experts");
    return new Experts(
            "mlp.gate.wg",
            config.size("hidden_size"),
            Routing.softmax(config.intBetween("moe_topk", 1, count, 1), true),
            LlamaLayout.experts(config, "mlp.experts.", count, config.size("intermediate_size")))
        .withShared(
            LlamaLayout.feedForward(
                config, "mlp.shared_mlp.", config.size("intermediate_size"), false),
            Optional.empty());
  }
}
