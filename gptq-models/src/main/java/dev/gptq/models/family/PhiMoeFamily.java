package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import java.util.Optional;

/**
 * Phi-3.5-MoE: Mixtral with layer norms and two experts that are chosen one after the other, each
 * weighed against those that come close to it.
 */
final class PhiMoeFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("phimoe");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("rms_norm_eps", 1e-5, "rope_theta", 1e6));
    boolean bias = config.booleanValue("attention_bias", false);
    Experts experts = experts(config);
    DecoderSpec spec =
        LlamaLayout.decoder(
            "Phi-3.5-MoE",
            config,
            false,
            norm(config, "norm"),
            layer ->
                ImmutableList.<Step>builder()
                    .addAll(
                        Branch.before(
                                norm(config, "input_layernorm"),
                                SelfAttention.of(config, LlamaLayout.window(config, layer, true))
                                    .withBias(bias, bias)
                                    .withRope(Optional.of(rope(config))))
                            .steps("n", "o"))
                    .add(new Step.Norm("x", "m", norm(config, "post_attention_layernorm")))
                    .addAll(experts.steps("m", "x"))
                    .build());
    return config.booleanValue("lm_head_bias", false)
        ? spec.withHead(spec.head().withBias("lm_head.bias"))
        : spec;
  }

  private static Experts experts(ModelConfig config) {
    int count = config.experts(config.blocks("num_hidden_layers"), "num_local_experts");
    return new Experts(
        "block_sparse_moe.gate",
        config.size("hidden_size"),
        Routing.oneByOne(config.doubleValue("router_jitter_noise", 0.01)),
        MixtralFamily.experts(config, "block_sparse_moe.experts.", count));
  }

  /** A longer context has a factor on cosine and sine of its own, and no other frequencies. */
  private static RopeSpec rope(ModelConfig config) {
    RopeSpec rope = Ropes.of(config, config.headDim());
    if (config.rope().type().equals("default")) {
      return rope;
    }
    Optional<JsonConfig> section =
        config.section("rope_parameters").or(() -> config.section("rope_scaling"));
    double within = section.map(own -> own.doubleValue("short_mscale")).orElse(1.0);
    double beyond = section.map(own -> own.doubleValue("long_mscale")).orElse(within);
    if (within != beyond) {
      throw Switches.refused(
          config, "long_mscale", String.valueOf(beyond), "only that of short_mscale is supported");
    }
    return new RopeSpec(rope.frequencies(), within, rope.pairs(), Optional.empty());
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, Kind.LAYER, name, "rms_norm_eps", 1e-5);
  }
}
