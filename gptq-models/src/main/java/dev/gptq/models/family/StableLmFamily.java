package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.Step.Split.Part;

/**
 * StableLM: layer norms, a quarter of each head is rotated; attention and feed-forward may be side
 * by side, and each head may have a norm of its own.
 */
final class StableLmFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("stablelm");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(ImmutableMap.of("partial_rotary_factor", 0.25));
    SelfAttention attention =
        SelfAttention.of(config, 0).withBias(config.booleanValue("use_qkv_bias", false), false);
    Body body =
        config.booleanValue("qk_layernorm", false)
            ? (in, out) -> normalised(config, attention, in, out)
            : attention;
    FeedForward feedForward = LlamaLayout.feedForward(config, false);
    NormSpec before = norm(config, "input_layernorm");
    ImmutableList<Step> block =
        config.booleanValue("use_parallel_residual", false)
            ? Branch.parallel(before, body, feedForward)
            : Branch.block(
                Branch.before(before, body),
                Branch.before(norm(config, "post_attention_layernorm"), feedForward));
    return LlamaLayout.decoder("StableLM", config, false, norm(config, "norm"), layer -> block);
  }

  /** Attention whose heads are normalised in place, each by a module of its own. */
  private static ImmutableList<Step> normalised(
      ModelConfig config, SelfAttention attention, String in, String out) {
    ImmutableList<Step> plain = attention.steps(in, out);
    return ImmutableList.<Step>builder()
        .add(plain.getFirst())
        .addAll(heads(config, "q", "self_attn.q_layernorm", attention.shape().heads()))
        .addAll(heads(config, "k", "self_attn.k_layernorm", attention.shape().keyValueHeads()))
        .addAll(plain.subList(1, plain.size()))
        .build();
  }

  private static ImmutableList<Step> heads(
      ModelConfig config, String of, String module, int heads) {
    ImmutableList.Builder<Part> parts = ImmutableList.builder();
    ImmutableList.Builder<Step> norms = ImmutableList.builder();
    float epsilon = (float) config.doubleValue("layer_norm_eps", 1e-5);
    for (int head = 0; head < heads; head++) {
      String name = of + head;
      parts.add(new Part(name, config.headDim()));
      norms.add(
          new Step.Norm(
              name,
              name,
              new NormSpec(
                  module + ".norms." + head, Kind.LAYER_UNBIASED, config.headDim(), epsilon)));
    }
    return ImmutableList.<Step>builder()
        .add(new Step.Split(of, 1, parts.build()))
        .addAll(norms.build())
        .build();
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, Kind.LAYER, name, "layer_norm_eps", 1e-5);
  }
}
