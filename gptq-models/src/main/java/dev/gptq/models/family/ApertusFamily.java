package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;

/** Apertus: normalised heads, a feed-forward layer without gate and with a learned activation. */
final class ApertusFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("apertus");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("rms_norm_eps", 1e-5, "rope_theta", 12e6));
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withHeadNorm(NormSpec.Kind.RMS, config.doubleValue("rms_norm_eps", 1e-5));
    return LlamaLayout.decoder(
        "Apertus",
        config,
        false,
        layer ->
            Branch.block(
                Branch.before(LlamaLayout.norm(config, "attention_layernorm"), attention),
                Branch.before(
                    LlamaLayout.norm(config, "feedforward_layernorm"), feedForward(config))));
  }

  private static Body feedForward(ModelConfig config) {
    int hidden = config.size("hidden_size");
    int inner = config.size("intermediate_size");
    boolean learned = config.stringValue("hidden_act", "xielu").equals("xielu");
    return (in, out) ->
        ImmutableList.of(
            new Step.Linears(
                in, ImmutableList.of(new LinearSpec("mlp.up_proj", "up", inner, hidden, false))),
            learned
                ? new Step.Xielu("up", "mlp.act_fn")
                : new Step.Activate(Switches.activation(config, "hidden_act", "silu"), "up"),
            new Step.Linears(
                "up",
                ImmutableList.of(new LinearSpec("mlp.down_proj", out, hidden, inner, false))));
  }
}
