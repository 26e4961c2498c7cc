package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/**
 * StarCoder 2: layer norms, biases, a feed-forward layer without a gate, perhaps a sliding window.
 */
final class StarCoderFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("starcoder2");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean bias = config.booleanValue("use_bias", true);
    SelfAttention attention =
        SelfAttention.of(config, config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 0))
            .withBias(bias, bias);
    PlainFeedForward feedForward =
        new PlainFeedForward(
            "mlp.c_fc",
            "mlp.c_proj",
            config.size("hidden_size"),
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "gelu_pytorch_tanh"),
            bias);
    ImmutableList<Step> block =
        Branch.block(
            Branch.before(norm(config, "input_layernorm"), attention),
            Branch.before(norm(config, "post_attention_layernorm"), feedForward));
    return LlamaLayout.decoder("StarCoder 2", config, true, norm(config, "norm"), layer -> block);
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, NormSpec.Kind.LAYER, name, "norm_epsilon", 1e-5);
  }
}
