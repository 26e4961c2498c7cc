package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.List;
import java.util.Optional;

/**
 * Granite with experts, with a layer that all tokens take, and version 4, which may have Mamba-2 in
 * place of attention, no rotary positions, and no experts. Experts are named as Mixtral's are,
 * whatever the tensor is called that holds them all.
 */
final class GraniteMoeFamily implements ModelFamily {
  private static final String EXPERTS = "block_sparse_moe.experts.";

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("granitemoe", "granitemoeshared", "granitemoehybrid");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    boolean hybrid = config.modelType().equals("granitemoehybrid");
    DecoderSpec spec =
        LlamaLayout.decoder(
            hybrid ? "Granite 4" : "Granite MoE",
            config,
            false,
            layer -> steps(config, hybrid && isMamba(config, layer), hybrid));
    return GraniteFamily.scaled(config, spec);
  }

  private static boolean isMamba(ModelConfig config, int layer) {
    List<String> types =
        config.stringList(config.has("layer_types") ? "layer_types" : "layers_block_type");
    String type = layer < types.size() ? types.get(layer) : "linear_attention";
    return switch (type) {
      case "mamba", "linear_attention" -> true;
      case "attention", "full_attention" -> false;
      default ->
          throw Switches.refused(
              config, "layer_types", type, "mamba and attention layers are supported");
    };
  }

  private static ImmutableList<Step> steps(ModelConfig config, boolean mamba, boolean hybrid) {
    double factor = config.doubleValue("residual_multiplier", 1);
    Body mixer = mamba ? Mamba.granite(config) : attention(config, hybrid);
    NormSpec second = LlamaLayout.norm(config, "post_attention_layernorm");
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps.addAll(
        Branch.before(LlamaLayout.norm(config, "input_layernorm"), mixer)
            .withScale(factor)
            .steps("n", "o"));
    steps.add(new Step.Norm(Step.RESIDUAL, "m", second));
    if (!hybrid || config.intValue("num_local_experts", 8) > 0) {
      steps.addAll(experts(config, factor).steps("m", Step.RESIDUAL));
    }
    shared(config)
        .ifPresent(body -> {
          steps.addAll(body.steps("m", "d"));
          if (factor != 1) {
            steps.add(new Step.Scale((float) factor, "d"));
          }
          steps.add(new Step.Add("d", Step.RESIDUAL));
        });
    return steps.build();
  }

  private static SelfAttention attention(ModelConfig config, boolean hybrid) {
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withScores((float) config.doubleValue("attention_multiplier", 1), 0);
    if (!hybrid) {
      return attention;
    }
    return switch (config.stringValue("position_embedding_type", "")) {
      case "rope" -> attention;
      case "", "nope" -> attention.withRope(Optional.empty());
      default ->
          throw Switches.refused(
              config,
              "position_embedding_type",
              config.stringValue("position_embedding_type"),
              "rope and none are supported");
    };
  }

  /** The factor of the branch is one of the experts' weights. */
  private static Experts experts(ModelConfig config, double factor) {
    int count = config.experts(config.blocks("num_hidden_layers"), "num_local_experts");
    FusedExperts together =
        new FusedExperts(
            "block_sparse_moe.input_linear.weight",
            "block_sparse_moe.output_linear.weight",
            FusedSpec.Order.BEHIND,
            LinearSpec.Storage.OUT_IN);
    return new Experts(
        "block_sparse_moe.router.layer",
        config.size("hidden_size"),
        Routing.softmax(config.intBetween("num_experts_per_tok", 1, count), true)
            .withScaling(factor),
        together.split(count, e -> MixtralFamily.expert(config, EXPERTS + e + ".")));
  }

  private static Optional<Body> shared(ModelConfig config) {
    if (config.modelType().equals("granitemoe")
        || config.intValue("shared_intermediate_size", 1024) == 0) {
      return Optional.empty();
    }
    return Optional.of(
        new FusedFeedForward(
            "shared_mlp.input_linear",
            "shared_mlp.output_linear",
            config.size("hidden_size"),
            config.size("shared_intermediate_size", 1024),
            Switches.activation(config, "hidden_act", "silu")));
  }
}
