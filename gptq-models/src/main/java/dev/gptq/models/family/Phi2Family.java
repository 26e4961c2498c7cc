package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.SelfAttention.Names;
import dev.gptq.models.family.SelfAttention.QueryKeyNorm;

/**
 * Phi-1 and Phi-2: attention and feed-forward side by side behind one layer norm, biases
 * everywhere, a part of each head is rotated.
 */
final class Phi2Family implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("phi");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("partial_rotary_factor", 0.5));
    int hidden = config.size("hidden_size");
    SelfAttention plain =
        SelfAttention.of(config, 0)
            .withNames(Names.withOutput("self_attn.dense"))
            .withBias(true, true);
    SelfAttention attention =
        config.booleanValue("qk_layernorm", false)
            ? plain.withNorms(
                new QueryKeyNorm(
                    headNorm(config, "self_attn.q_layernorm"),
                    headNorm(config, "self_attn.k_layernorm"),
                    false))
            : plain;
    PlainFeedForward feedForward =
        new PlainFeedForward(
            "mlp.fc1",
            "mlp.fc2",
            hidden,
            config.size("intermediate_size", 4 * hidden),
            Switches.activation(config, "hidden_act", "gelu_new"),
            true);
    ImmutableList<Step> block =
        Branch.parallel(norm(config, "input_layernorm"), attention, feedForward);
    DecoderSpec spec =
        LlamaLayout.decoder(
            "Phi-2", config, false, norm(config, "final_layernorm"), layer -> block);
    return spec.withHead(spec.head().withBias("lm_head.bias"));
  }

  private static NormSpec headNorm(ModelConfig config, String name) {
    float epsilon = (float) config.doubleValue("layer_norm_eps", 1e-5);
    return new NormSpec(name, NormSpec.Kind.LAYER, config.headDim(), epsilon);
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, NormSpec.Kind.LAYER, name, "layer_norm_eps", 1e-5);
  }
}
