package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/**
 * Nemotron 4 and Minitron: layer norms whose gain is stored less by one, a part of each head is
 * rotated, a feed-forward layer without a gate.
 */
final class NemotronFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("nemotron");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("partial_rotary_factor", 0.5));
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention = SelfAttention.of(config, 0).withBias(bias, bias);
    PlainFeedForward feedForward =
        new PlainFeedForward(
            "mlp.up_proj",
            "mlp.down_proj",
            config.size("hidden_size"),
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "relu2"),
            config.booleanValue("mlp_bias", false));
    ImmutableList<Step> block =
        Branch.block(
            Branch.before(norm(config, "input_layernorm"), attention),
            Branch.before(norm(config, "post_attention_layernorm"), feedForward));
    return LlamaLayout.decoder("Nemotron", config, false, norm(config, "norm"), layer -> block);
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, NormSpec.Kind.LAYER_PLUS_ONE, name, "norm_eps", 1e-5);
  }
}
