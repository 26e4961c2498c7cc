package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import java.util.stream.IntStream;

/**
 * gpt-oss: attention with a sink for each head and a window in every other layer, biases
 * everywhere, experts with a clamped activation, whose gate and up outputs are stored in turns.
 */
final class GptOssFamily implements ModelFamily {
  private static final ImmutableMap<String, Object> YARN =
      ImmutableMap.of(
          "rope_type",
          "yarn",
          "rope_theta",
          150_000.0,
          "factor",
          32.0,
          "truncate",
          false,
          "original_max_position_embeddings",
          4096);

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("gpt_oss");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("head_dim", 64, "rms_norm_eps", 1e-5));
    ModelConfig rotated =
        config.has("rope_parameters") || config.has("rope_scaling")
            ? config.or(ImmutableMap.of("rope_theta", 150_000.0))
            : config.or(ImmutableMap.of("rope_parameters", YARN));
    return LlamaLayout.decoder(
        "gpt-oss",
        rotated,
        false,
        layer -> LlamaLayout.block(rotated, attention(rotated, layer), experts(rotated)));
  }

  private static Body attention(ModelConfig config, int layer) {
    boolean bias = config.booleanValue("attention_bias", true);
    ModelConfig windowed = config.or(ImmutableMap.of("sliding_window", 128));
    SelfAttention attention =
        SelfAttention.of(config, LlamaLayout.window(windowed, layer, layer % 2 == 0))
            .withBias(bias, bias);
    return (in, out) ->
        attention.steps(in, out).stream()
            .map(step ->
                step instanceof Step.Attention plain ? plain.withSinks("self_attn.sinks") : step)
            .collect(ImmutableList.toImmutableList());
  }

  private static Experts experts(ModelConfig config) {
    if (!config.stringValue("hidden_act", "silu").equals("swish")) {
      Switches.requireName(config, "hidden_act", "silu");
    }
    int count =
        config.experts(config.blocks("num_hidden_layers"), "num_local_experts", "num_experts");
    int hidden = config.size("hidden_size");
    int inner = config.size("intermediate_size");
    float alpha = (float) config.doubleValue("swiglu_alpha", 1.702);
    float limit = (float) config.doubleValue("swiglu_limit", 7);
    FusedExperts together = FusedExperts.below("mlp.experts.").transposed().interleaved();
    return new Experts(
            "mlp.router",
            hidden,
            Routing.softmax(config.intBetween("num_experts_per_tok", 1, count, 4), true),
            IntStream.range(0, count)
                .<Body>mapToObj(e ->
                    new GptOssExpert(
                        FeedForward.named(
                                "mlp.experts." + e + ".", hidden, inner, Activation.SILU, true)
                            .asExpert(e, together),
                        alpha,
                        limit))
                .collect(ImmutableList.toImmutableList()))
        .withRouterBias();
  }
}
