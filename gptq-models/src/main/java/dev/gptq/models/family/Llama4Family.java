package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Routing.Groups;
import dev.gptq.models.family.Routing.Score;
import java.util.List;
import java.util.Optional;

/**
 * Llama 4: rotated layers that see their chunk only and normalise rotated heads, layers without
 * positions whose queries grow with them, and experts whose inputs are weighed beside a layer that
 * all tokens take.
 */
final class Llama4Family implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("llama4_text");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config =
        given.or(ImmutableMap.of("rms_norm_eps", 1e-5, "rope_theta", 5e5, "head_dim", 128));
    return LlamaLayout.decoder("Llama 4", config, false, layer -> steps(config, layer));
  }

  private static ImmutableList<Step> steps(ModelConfig config, int layer) {
    Body attention = attention(config, layer);
    return isSparse(config, layer)
        ? LlamaLayout.block(config, attention, experts(config))
        : LlamaLayout.block(
            config,
            attention,
            LlamaLayout.feedForward(
                config, "feed_forward.", config.size("intermediate_size_mlp"), false));
  }

  private static boolean isSparse(ModelConfig config, int layer) {
    if (config.has("moe_layers")) {
      return config.intList("moe_layers").contains(layer);
    }
    return (layer + 1) % config.intBetween("interleave_moe_layer_step", 1, 1 << 20, 1) == 0;
  }

  private static boolean isRotated(ModelConfig config, int layer) {
    List<Integer> rotated = config.intList("no_rope_layers");
    if (layer < rotated.size()) {
      return rotated.get(layer) != 0;
    }
    return (layer + 1) % config.intBetween("no_rope_layer_interval", 1, 1 << 20, 4) != 0;
  }

  private static int chunk(ModelConfig config, int layer, boolean rotated) {
    List<String> types = config.stringList("layer_types");
    String type =
        layer < types.size() ? types.get(layer) : rotated ? "chunked_attention" : "full_attention";
    return switch (type) {
      case "chunked_attention" -> {
        boolean none =
            config.find("attention_chunk_size").filter(size -> size.isNull()).isPresent();
        yield none ? 0 : config.intBetween("attention_chunk_size", 1, Integer.MAX_VALUE, 8192);
      }
      case "full_attention" -> 0;
      default ->
          throw Switches.refused(
              config, "layer_types", type, "chunked_attention and full_attention are supported");
    };
  }

  private static Body attention(ModelConfig config, int layer) {
    boolean rotated = isRotated(config, layer);
    int chunk = chunk(config, layer, rotated);
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention plain = SelfAttention.of(config, 0).withBias(bias, bias);
    SelfAttention attention = rotated ? rotated(config, plain) : plain.withRope(Optional.empty());
    boolean tempered = !rotated && config.booleanValue("attn_temperature_tuning", true);
    return (in, out) -> {
      ImmutableList.Builder<Step> steps = ImmutableList.builder();
      for (Step step : attention.steps(in, out)) {
        if (step instanceof Step.Attention whole) {
          if (tempered) {
            steps.add(
                new Step.Temper(
                    "q",
                    1,
                    config.intBetween("floor_scale", 1, Integer.MAX_VALUE, 8192),
                    config.doubleValue("attn_scale", 0.1)));
          }
          steps.add(whole.withChunk(chunk));
        } else {
          steps.add(step);
        }
      }
      return steps.build();
    };
  }

  private static SelfAttention rotated(ModelConfig config, SelfAttention plain) {
    int size = plain.shape().headSize();
    SelfAttention attention =
        plain.withRope(Optional.of(Ropes.of(config, size).withPairs(RopePairs.ADJACENT)));
    if (!config.booleanValue("use_qk_norm", true)) {
      return attention;
    }
    float epsilon = (float) config.doubleValue("rms_norm_eps", 1e-5);
    return attention.withNorms(
        new SelfAttention.QueryKeyNorm(
            new NormSpec("self_attn.q", NormSpec.Kind.RMS_PLAIN, size, epsilon),
            new NormSpec("self_attn.k", NormSpec.Kind.RMS_PLAIN, size, epsilon),
            true));
  }

  private static Experts experts(ModelConfig config) {
    int count = config.experts(config.blocks("num_hidden_layers"), "num_local_experts");
    int inner = config.size("intermediate_size");
    String experts = "feed_forward.experts.";
    FusedExperts together = FusedExperts.below(experts).transposed();
    return new Experts(
            "feed_forward.router",
            config.size("hidden_size"),
            new Routing(
                config.intBetween("num_experts_per_tok", 1, count, 1),
                Score.SIGMOID,
                false,
                1,
                Optional.empty(),
                Groups.NONE),
            LlamaLayout.experts(config, experts, count, inner, together))
        .weighingInputs()
        .withShared(
            LlamaLayout.feedForward(config, "feed_forward.shared_expert.", inner, false),
            Optional.empty());
  }
}
