package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.SelfAttention.Names;
import dev.gptq.models.family.SelfAttention.QueryKeyNorm;
import dev.gptq.models.family.Step.Split.Part;
import java.util.List;
import java.util.Optional;

/**
 * LFM2: gated short convolutions in most layers, attention with normalised heads in the others;
 * perhaps with experts in all but the first layers.
 */
final class LfmFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("lfm2", "lfm2_moe");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("rope_theta", 1e6));
    boolean mixture = config.modelType().equals("lfm2_moe");
    int inner = mixture ? config.size("intermediate_size") : inner(config);
    int hidden = config.size("hidden_size");
    int dense = mixture ? config.intValue("num_dense_layers", 2) : Integer.MAX_VALUE;
    FeedForward feedForward = feedForward(config, "feed_forward.", inner);
    return LlamaLayout.decoder(
        mixture ? "LFM2-MoE" : "LFM2",
        config,
        true,
        norm(config, "embedding_norm"),
        layer -> {
          Branch mixer =
              Branch.before(
                  norm(config, "operator_norm"),
                  isConvolution(config, layer)
                      ? (in, out) -> convolution(config, hidden, in, out)
                      : attention(config));
          return layer < dense
              ? Branch.block(mixer, Branch.before(norm(config, "ffn_norm"), feedForward))
              : ImmutableList.<Step>builder()
                  .addAll(mixer.steps("n", "o"))
                  .add(new Step.Norm("x", "m", norm(config, "ffn_norm")))
                  .addAll(experts(config).steps("m", "x"))
                  .build();
        });
  }

  private static FeedForward feedForward(ModelConfig config, String prefix, int inner) {
    return new FeedForward(
        prefix + "w1",
        prefix + "w3",
        prefix + "w2",
        config.size("hidden_size"),
        inner,
        Activation.SILU,
        false);
  }

  private static Experts experts(ModelConfig config) {
    int count = config.experts(config.blocks("num_hidden_layers"), "num_experts");
    Routing routing =
        new Routing(
            config.intBetween("num_experts_per_tok", 1, count),
            Routing.Score.SIGMOID,
            config.booleanValue("norm_topk_prob", true),
            (float) config.doubleValue("routed_scaling_factor", 1),
            config.booleanValue("use_expert_bias", true)
                ? Optional.of("feed_forward.expert_bias")
                : Optional.empty(),
            Routing.Groups.NONE);
    String prefix = "feed_forward.experts.";
    int inner = config.size("moe_intermediate_size");
    return new Experts(
        "feed_forward.gate",
        config.size("hidden_size"),
        routing,
        FusedExperts.below(prefix).split(count, e -> feedForward(config, prefix + e + ".", inner)));
  }

  /** Two thirds of what the file says, times a factor, up to the next multiple. */
  private static int inner(ModelConfig config) {
    int stated = config.anyInt("block_ff_dim", "intermediate_size");
    if (!config.booleanValue("block_auto_adjust_ff_dim", true)) {
      return stated;
    }
    int adjusted =
        (int) (config.doubleValue("block_ffn_dim_multiplier", 1) * (int) (2.0 * stated / 3));
    int multiple = config.intValue("block_multiple_of", 256);
    return Math.ceilDiv(adjusted, multiple) * multiple;
  }

  private static boolean isConvolution(ModelConfig config, int layer) {
    List<String> types = config.stringList("layer_types");
    if (layer >= types.size()) {
      List<Integer> full = config.intList("full_attn_idxs");
      return config.has("full_attn_idxs") && !full.contains(layer);
    }
    return switch (types.get(layer)) {
      case "conv" -> true;
      case "full_attention" -> false;
      default ->
          throw Switches.refused(
              config, "layer_types", types.get(layer), "conv and full_attention are supported");
    };
  }

  private static SelfAttention attention(ModelConfig config) {
    float epsilon = (float) config.doubleValue("norm_eps", 1e-5);
    return SelfAttention.of(config, 0)
        .withNames(Names.withOutput("self_attn.out_proj"))
        .withNorms(
            new QueryKeyNorm(
                new NormSpec("self_attn.q_layernorm", Kind.RMS, config.headDim(), epsilon),
                new NormSpec("self_attn.k_layernorm", Kind.RMS, config.headDim(), epsilon),
                false));
  }

  /** {@code out(c·conv(b·x))}, where b, c and x are one projection. */
  private static ImmutableList<Step> convolution(
      ModelConfig config, int hidden, String in, String out) {
    boolean bias = config.booleanValue("conv_bias", false);
    return ImmutableList.of(
        new Step.Linears(
            in, ImmutableList.of(new LinearSpec("conv.in_proj", "bcx", 3 * hidden, hidden, bias))),
        new Step.Split(
            "bcx",
            1,
            ImmutableList.of(
                new Part("b", hidden), new Part("c", hidden), new Part("values", hidden))),
        new Step.Gate(Activation.IDENTITY, "b", "values"),
        new Step.Convolve(
            "b", "conv.conv", hidden, config.intValue("conv_L_cache", 3), bias, "mixed"),
        new Step.Gate(Activation.IDENTITY, "c", "mixed"),
        new Step.Linears(
            "c", ImmutableList.of(new LinearSpec("conv.out_proj", out, hidden, hidden, bias))));
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, Kind.RMS, name, "norm_eps", 1e-5);
  }
}
