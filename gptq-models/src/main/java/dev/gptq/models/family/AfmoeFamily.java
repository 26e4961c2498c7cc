package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Routing.Groups;
import dev.gptq.models.family.Routing.Score;
import java.util.Optional;

/**
 * Arcee Trinity: norms on both sides of attention and feed-forward, normalised heads, a gate on
 * what attention puts out, rotary positions in layers with a window only; behind the first layers
 * experts with logistic scores.
 */
final class AfmoeFamily implements ModelFamily {
  private static final ImmutableMap<String, Object> DEFAULTS =
      ImmutableMap.of(
          "head_dim", 128, "rms_norm_eps", 1e-5, "sliding_window", 1024, "num_dense_layers", 1);

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("afmoe");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(DEFAULTS);
    DecoderSpec spec =
        LlamaLayout.decoder(
            "AFMoE",
            config,
            false,
            layer ->
                Branch.block(
                    Branch.between(
                        norm(config, "input_layernorm"),
                        attention(config, layer),
                        norm(config, "post_attention_layernorm")),
                    Branch.between(
                        norm(config, "pre_mlp_layernorm"),
                        layer < config.intValue("num_dense_layers")
                            ? LlamaLayout.feedForward(config, false)
                            : experts(config),
                        norm(config, "post_mlp_layernorm"))));
    return config.booleanValue("mup_enabled", false)
        ? spec.withOpening(new Step.Scale((float) Math.sqrt(spec.hidden()), Step.RESIDUAL))
        : spec;
  }

  private static Body attention(ModelConfig config, int layer) {
    int every = config.intBetween("global_attn_every_n_layers", 1, Integer.MAX_VALUE, 4);
    boolean sliding = LlamaLayout.isSliding(config, layer, (layer + 1) % every != 0);
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention plain =
        SelfAttention.of(config, LlamaLayout.window(config, layer, sliding))
            .withBias(bias, bias)
            .withHeadNorm(NormSpec.Kind.RMS, config.doubleValue("rms_norm_eps", 1e-5));
    SelfAttention attention = sliding ? plain : plain.withRope(Optional.empty());
    LinearSpec gate =
        new LinearSpec(
            "self_attn.gate_proj", "g", attention.queries(), config.size("hidden_size"), false);
    return (in, out) -> gated(attention.steps(in, out), gate);
  }

  /**
   * Attention whose output is multiplied by the logistic function of what a further module says.
   */
  private static ImmutableList<Step> gated(ImmutableList<Step> attention, LinearSpec gate) {
    Step.Linears first = (Step.Linears) attention.getFirst();
    Step.Linears last = (Step.Linears) attention.getLast();
    return ImmutableList.<Step>builder()
        .add(
            new Step.Linears(
                first.in(),
                ImmutableList.<LinearSpec>builder().addAll(first.modules()).add(gate).build()))
        .addAll(attention.subList(1, attention.size() - 1))
        .add(new Step.Gate(Activation.SIGMOID, gate.out(), last.in()))
        .add(new Step.Linears(gate.out(), last.modules()))
        .build();
  }

  /** The layer of all tokens defines what the experts add to. */
  private static Body experts(ModelConfig config) {
    int inner = config.size("moe_intermediate_size");
    int count = config.experts(config.blocks("num_hidden_layers"), "num_experts");
    Body shared =
        LlamaLayout.feedForward(
            config, "mlp.shared_experts.", config.size("num_shared_experts", 2) * inner, false);
    Routing routing =
        new Routing(
            config.intBetween("num_experts_per_tok", 1, count),
            Score.SIGMOID,
            true,
            (float) config.doubleValue("route_scale", 1),
            Optional.of("mlp.expert_bias"),
            Groups.NONE);
    Experts experts =
        new Experts(
            "mlp.router.gate",
            config.size("hidden_size"),
            routing,
            LlamaLayout.experts(config, "mlp.experts.", count, inner));
    return (in, out) ->
        ImmutableList.<Step>builder()
            .addAll(shared.steps(in, out))
            .addAll(experts.steps(in, out))
            .build();
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, name);
  }
}
