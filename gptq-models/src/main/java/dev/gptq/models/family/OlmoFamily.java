package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * OLMo. Version 1 is Llama with layer norms that have no parameters; versions 2 and 3 have norms
 * behind attention and feed-forward only, and normalise all queries and all keys together; version
 * 3 has a sliding window in three layers of four. OLMoE is Llama with such queries and keys, and
 * with experts.
 */
final class OlmoFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("olmo", "olmo2", "olmo3", "olmoe");
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    boolean bias = config.booleanValue("attention_bias", false);
    double epsilon = config.doubleValue("rms_norm_eps", 1e-5);
    return switch (config.modelType()) {
      case "olmo" -> first(config, SelfAttention.of(config, 0).withBias(bias, bias), feedForward);
      case "olmo2" -> {
        SelfAttention attention =
            SelfAttention.of(config, 0).withBias(bias, bias).withWholeNorm(epsilon);
        yield LlamaLayout.decoder(
            "OLMo 2",
            config,
            false,
            layer -> LlamaLayout.postNormBlock(config, attention, feedForward));
      }
      case "olmoe" -> {
        SelfAttention attention =
            SelfAttention.of(config, 0).withBias(bias, bias).withWholeNorm(epsilon);
        yield mixture(config.or(ImmutableMap.of("rms_norm_eps", 1e-5)), attention);
      }
      default ->
          LlamaLayout.decoder(
              "OLMo 3",
              config,
              false,
              layer -> {
                boolean sliding = LlamaLayout.isSliding(config, layer, (layer + 1) % 4 != 0);
                SelfAttention attention =
                    SelfAttention.of(
                            config,
                            sliding
                                ? config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 4096)
                                : 0)
                        .withBias(bias, bias)
                        .withWholeNorm(epsilon)
                        .withRope(Optional.of(rope(config, sliding)));
                return LlamaLayout.postNormBlock(config, attention, feedForward);
              });
    };
  }

  private static DecoderSpec mixture(ModelConfig config, SelfAttention attention) {
    if (config.has("clip_qkv")) {
      throw Switches.refused(
          config,
          "clip_qkv",
          String.valueOf(config.doubleValue("clip_qkv")),
          "OLMoE without it is supported");
    }
    ModelConfig inner =
        config.or(ImmutableMap.of("moe_intermediate_size", config.size("intermediate_size")));
    return LlamaLayout.decoder(
        "OLMoE",
        config,
        false,
        layer -> LlamaLayout.block(config, attention, QwenFamily.experts(inner)));
  }

  private static DecoderSpec first(
      ModelConfig config, SelfAttention attention, FeedForward feedForward) {
    NormSpec last = plain(config, "norm");
    return LlamaLayout.decoder(
        "OLMo",
        config,
        false,
        last,
        layer ->
            Branch.block(
                Branch.before(plain(config, "input_layernorm"), clipped(config, attention)),
                Branch.before(plain(config, "post_attention_layernorm"), feedForward)));
  }

  /** Queries, keys and values may be kept within bounds, before they are rotated. */
  private static Body clipped(ModelConfig config, SelfAttention attention) {
    if (!config.has("clip_qkv")) {
      return attention;
    }
    float bound = (float) config.doubleValue("clip_qkv");
    return (in, out) ->
        attention.steps(in, out).stream()
            .flatMap(step ->
                step instanceof Step.Linears group && group.in().equals(in)
                    ? Stream.concat(
                        Stream.of(step),
                        group.modules().stream()
                            .map(module -> new Step.Clamp(-bound, bound, module.out())))
                    : Stream.of(step))
            .collect(ImmutableList.toImmutableList());
  }

  /** Stretched positions are for layers without a window. */
  private static RopeSpec rope(ModelConfig config, boolean sliding) {
    String type = sliding ? "sliding_attention" : "full_attention";
    if (config.section("rope_parameters").flatMap(all -> all.section(type)).isPresent()) {
      return Ropes.of(config, config.rope(type), config.headDim());
    }
    return sliding
        ? Ropes.plain(config.rope().theta(), config.headDim())
        : Ropes.of(config, config.headDim());
  }

  private static NormSpec plain(ModelConfig config, String name) {
    return new NormSpec(name, NormSpec.Kind.LAYER_PLAIN, config.size("hidden_size"), 1e-5f);
  }
}
