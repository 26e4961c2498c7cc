package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Routing.Groups;
import dev.gptq.models.family.Routing.Score;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Nemotron-H: each block is one thing, Mamba-2, attention without positions, a feed-forward layer
 * without gate, or experts of that kind.
 */
final class NemotronHFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("nemotron_h");
  }

  @Override
  public String base() {
    return "backbone.";
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    Switches.require(config, "residual_in_fp32", false);
    int hidden = config.size("hidden_size");
    ImmutableList<String> kinds = kinds(config);
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < kinds.size(); layer++) {
      blocks.add(
          new BlockSpec("backbone.layers." + layer + ".", steps(config, kinds, kinds.get(layer))));
    }
    return new DecoderSpec(
        "Nemotron-H",
        config.size("vocab_size"),
        hidden,
        config.context("max_position_embeddings", 4096),
        new DecoderSpec.Embedding("backbone.embeddings.weight", hidden),
        new BlockSpec("", ImmutableList.of()),
        blocks.build(),
        new BlockSpec(
            "backbone.", ImmutableList.of(new Step.Norm("x", "x", norm(config, "norm_f")))),
        // Transformers has a matrix of its own for the head whatever tie_word_embeddings says.
        new DecoderSpec.Head("lm_head.weight"),
        config.intList("eos_token_id"));
  }

  /** What each block is; older files write a letter for each. */
  private static ImmutableList<String> kinds(ModelConfig config) {
    if (kindsKey(config).equals("hybrid_override_pattern")) {
      return config
          .stringValue("hybrid_override_pattern")
          .chars()
          .mapToObj(letter -> String.valueOf((char) letter))
          .collect(ImmutableList.toImmutableList());
    }
    return config.stringList(kindsKey(config));
  }

  private static String kindsKey(ModelConfig config) {
    return config.anyKey("layers_block_type", "layer_types", "hybrid_override_pattern");
  }

  private static ImmutableList<Step> steps(
      ModelConfig config, ImmutableList<String> kinds, String kind) {
    NormSpec norm = norm(config, "norm");
    return switch (kind) {
      case "M", "mamba", "linear_attention" -> Branch.before(norm, mamba(config)).steps("n", "o");
      case "*", "attention", "full_attention" ->
          Branch.before(norm, attention(config)).steps("n", "o");
      case "-", "mlp" ->
          Branch.before(norm, feedForward(config, "mixer.", config.size("intermediate_size")))
              .steps("n", "o");
      case "E", "moe" ->
          ImmutableList.<Step>builder()
              .add(new Step.Norm(Step.RESIDUAL, "n", norm))
              .addAll(experts(config, kinds.size()))
              .build();
      default ->
          throw Switches.refused(
              config,
              kindsKey(config),
              kind,
              "linear_attention, full_attention, mlp and moe are supported");
    };
  }

  private static Mamba mamba(ModelConfig config) {
    boolean bias = config.booleanValue("use_bias", false);
    return new Mamba(
        "mixer.",
        config.size("hidden_size"),
        new Mamba.Shape(
            config.heads("mamba_num_heads", 128),
            config.heads("ssm_state_size", 128),
            config.heads("mamba_head_dim", 64)),
        config.heads("n_groups", 8),
        config.heads("conv_kernel", 4),
        Switches.activation(config, "mamba_hidden_act", "silu"),
        new Mamba.Biases(bias, config.booleanValue("use_conv_bias", true), bias),
        Optional.of(new Mamba.Gated(epsilon(config), false)),
        new Mamba.Limits(
            (float) config.doubleValue("time_step_min", 0.001), Float.POSITIVE_INFINITY),
        Mamba.Factors.ONES);
  }

  private static SelfAttention attention(ModelConfig config) {
    return SelfAttention.of(config, 0)
        .withNames(
            new SelfAttention.Names("mixer.q_proj", "mixer.k_proj", "mixer.v_proj", "mixer.o_proj"))
        .withRope(Optional.empty());
  }

  private static PlainFeedForward feedForward(ModelConfig config, String prefix, int inner) {
    return new PlainFeedForward(
        prefix + "up_proj",
        prefix + "down_proj",
        config.size("hidden_size"),
        inner,
        function(config),
        config.booleanValue("mlp_bias", false));
  }

  private static Activation function(ModelConfig config) {
    return Switches.activation(config, "mlp_hidden_act", "relu2");
  }

  /** Experts may read and write fewer features than the residual stream has. */
  private static ImmutableList<Step> experts(ModelConfig config, int blocks) {
    int hidden = config.size("hidden_size");
    int inner = config.size("moe_intermediate_size");
    int count = config.experts(blocks, "n_routed_experts", "num_local_experts");
    int latent = config.optionalIntBetween("moe_latent_size", 1, 1 << 20).orElse(hidden);
    Routing routing =
        new Routing(
            config.intBetween("num_experts_per_tok", 1, count, 2),
            Score.SIGMOID,
            config.booleanValue("norm_topk_prob", true),
            (float) config.doubleValue("routed_scaling_factor", 1),
            Optional.of("mixer.gate.e_score_correction_bias"),
            new Groups(
                config.intValue("n_group", 1),
                config.intValue("topk_group", 1),
                Groups.Ranking.BEST_TWO));
    Experts experts =
        new Experts(
            "mixer.gate",
            hidden,
            routing,
            IntStream.range(0, count)
                .<Body>mapToObj(e -> expert(config, e, latent, inner))
                .collect(ImmutableList.toImmutableList()));
    PlainFeedForward shared =
        feedForward(
            config, "mixer.shared_experts.", config.size("moe_shared_expert_intermediate_size"));
    if (latent == hidden && !config.has("moe_latent_size")) {
      return experts.withShared(shared, Optional.empty()).steps("n", Step.RESIDUAL);
    }
    boolean bias = config.booleanValue("mlp_bias", false);
    LinearSpec into = new LinearSpec("mixer.fc1_latent_proj", "l", latent, hidden, bias);
    LinearSpec back = new LinearSpec("mixer.fc2_latent_proj", "r", hidden, latent, bias);
    return ImmutableList.<Step>builder()
        .add(new Step.Linears("n", ImmutableList.of(into)))
        // Experts add to something: nothing at first.
        .add(new Step.Join(ImmutableList.of(new Step.Join.Piece("l", latent, latent)), 1, "sum"))
        .add(new Step.Scale(0, "sum"))
        .addAll(experts.steps("n", "l", "sum"))
        .add(new Step.Linears("sum", ImmutableList.of(back)))
        .add(new Step.Add("r", Step.RESIDUAL))
        .addAll(shared.steps("n", "s"))
        .add(new Step.Add("s", Step.RESIDUAL))
        .build();
  }

  private static Body expert(ModelConfig config, int index, int hidden, int inner) {
    String prefix = "mixer.experts." + index + ".";
    LinearSpec.Storage stored = LinearSpec.Storage.OUT_IN;
    FusedSpec.Order order = FusedSpec.Order.BEHIND;
    return (in, out) ->
        ImmutableList.of(
            new Step.Linears(
                in,
                ImmutableList.of(
                    new LinearSpec(prefix + "up_proj", out + ".inner", inner, hidden, false)
                        .within(
                            new FusedSpec("mixer.experts.up_proj", index, 0, 1, order, stored)))),
            new Step.Activate(function(config), out + ".inner"),
            new Step.Linears(
                out + ".inner",
                ImmutableList.of(
                    new LinearSpec(prefix + "down_proj", out, hidden, inner, false)
                        .within(
                            new FusedSpec(
                                "mixer.experts.down_proj", index, 0, 1, order, stored)))));
  }

  private static float epsilon(ModelConfig config) {
    return (float) config.doubleValue("layer_norm_epsilon", 1e-5);
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return new NormSpec(name, NormSpec.Kind.RMS, config.size("hidden_size"), epsilon(config));
  }
}
