package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;

/** Falcon-H1: attention and Mamba-2 side by side in every block, and factors on everything. */
final class FalconHFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("falcon_h1");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("rms_norm_eps", 1e-5, "rope_theta", 1e5));
    DecoderSpec spec =
        LlamaLayout.decoder(
            "Falcon-H1",
            config,
            false,
            LlamaLayout.norm(config, "final_layernorm"),
            layer -> steps(config));
    return spec.withOpening(new Step.Scale(factor(config, "embedding_multiplier"), "x"))
        .withHead(
            new DecoderSpec.Head(
                spec.head().matrix(), Optional.empty(), factor(config, "lm_head_multiplier"), 0));
  }

  private static float factor(ModelConfig config, String key) {
    return (float) config.doubleValue(key, 1);
  }

  private static ImmutableList<Step> steps(ModelConfig config) {
    float in = factor(config, "attention_in_multiplier");
    float out = factor(config, "attention_out_multiplier");
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps
        .add(new Step.Norm(Step.RESIDUAL, "n", LlamaLayout.norm(config, "input_layernorm")))
        .addAll(mamba(config))
        .add(new Step.Scale(in, "n"))
        .addAll(attention(config).steps("n", "o"))
        .add(new Step.Scale(out, "o"))
        .add(new Step.Add("o", Step.RESIDUAL))
        .add(new Step.Add("s", Step.RESIDUAL))
        .add(new Step.Norm(Step.RESIDUAL, "m", LlamaLayout.norm(config, "pre_ff_layernorm")))
        .addAll(feedForward(config).steps("m", "d"))
        .add(new Step.Add("d", Step.RESIDUAL));
    return steps.build();
  }

  /** From {@code n} to {@code s}; its input is scaled apart from that of attention. */
  private static ImmutableList<Step> mamba(ModelConfig config) {
    int hidden = config.size("hidden_size");
    int inner =
        config.has("mamba_d_ssm")
            ? config.size("mamba_d_ssm")
            : config.intBetween("mamba_expand", 1, 64, 2) * hidden;
    int heads = config.heads("mamba_n_heads", 128);
    ImmutableList<Double> factors = config.doubleList("ssm_multipliers");
    if (!factors.isEmpty() && factors.size() != 5) {
      throw Switches.refused(
          config, "ssm_multipliers", factors.toString(), "five numbers are supported");
    }
    Mamba mamba =
        new Mamba(
            "mamba.",
            hidden,
            new Mamba.Shape(
                heads, config.heads("mamba_d_state", 256), Mamba.evenly(config, inner, heads)),
            config.heads("mamba_n_groups", 1),
            config.heads("mamba_d_conv", 4),
            Switches.activation(config, "hidden_act", "silu"),
            new Mamba.Biases(
                config.booleanValue("mamba_proj_bias", false),
                config.booleanValue("mamba_conv_bias", true),
                config.booleanValue("projectors_bias", false)),
            config.booleanValue("mamba_rms_norm", false)
                ? Optional.of(
                    new Mamba.Gated(
                        (float) config.doubleValue("rms_norm_eps", 1e-5),
                        config.booleanValue("mamba_norm_before_gate", true)))
                : Optional.empty(),
            Mamba.Limits.of(config),
            factors.isEmpty()
                ? Mamba.Factors.ONES
                : new Mamba.Factors(
                    factors.get(0),
                    factors.get(1),
                    factors.get(2),
                    factors.get(3),
                    factors.get(4)));
    return ImmutableList.<Step>builder()
        .add(new Step.Join(ImmutableList.of(new Step.Join.Piece("n", hidden, hidden)), 1, "ssm"))
        .add(new Step.Scale(factor(config, "ssm_in_multiplier"), "ssm"))
        .addAll(mamba.steps("ssm", "s"))
        .add(new Step.Scale(factor(config, "ssm_out_multiplier"), "s"))
        .build();
  }

  /** Keys are scaled before they are rotated, which is the same as after. */
  private static Body attention(ModelConfig config) {
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention = SelfAttention.of(config, 0).withBias(bias, bias);
    float keys = factor(config, "key_multiplier");
    return (in, out) -> {
      ImmutableList.Builder<Step> steps = ImmutableList.builder();
      for (Step step : attention.steps(in, out)) {
        if (step instanceof Step.Attention) {
          steps.add(new Step.Scale(keys, "k"));
        }
        steps.add(step);
      }
      return steps.build();
    };
  }

  private static Body feedForward(ModelConfig config) {
    FeedForward layers =
        FeedForward.named(
            "feed_forward.",
            config.size("hidden_size"),
            config.size("intermediate_size"),
            Switches.activation(config, "hidden_act", "silu"),
            config.booleanValue("mlp_bias", false));
    ImmutableList<Double> factors = config.doubleList("mlp_multipliers");
    if (!factors.isEmpty() && factors.size() != 2) {
      throw Switches.refused(
          config, "mlp_multipliers", factors.toString(), "two numbers are supported");
    }
    double gate = factors.isEmpty() ? 1 : factors.get(0);
    double down = factors.isEmpty() ? 1 : factors.get(1);
    return (in, out) ->
        ImmutableList.of(
            layers.first(in, "gate", "up"),
            new Step.Scale((float) gate, "gate"),
            new Step.Gate(layers.function(), "gate", "up"),
            layers.last("gate", out),
            new Step.Scale((float) down, out));
  }
}
