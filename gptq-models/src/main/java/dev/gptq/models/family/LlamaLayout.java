package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.config.ModelConfig;
import java.util.List;
import java.util.function.IntFunction;

/** Names and settings that many families took over from Llama. */
public final class LlamaLayout {
  private static final String EMBEDDING = "model.embed_tokens.weight";

  private LlamaLayout() {}

  /**
   * A model whose blocks differ from Llama's.
   *
   * @param tied whether head and embedding are one matrix where {@code config.json} does not say
   */
  public static DecoderSpec decoder(
      String family, ModelConfig config, boolean tied, IntFunction<ImmutableList<Step>> steps) {
    return decoder(family, config, tied, norm(config, "norm"), steps);
  }

  /** The same with another norm before the head. */
  public static DecoderSpec decoder(
      String family,
      ModelConfig config,
      boolean tied,
      NormSpec last,
      IntFunction<ImmutableList<Step>> steps) {
    int hidden = config.size("hidden_size");
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.blocks("num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec("model.layers." + layer + ".", steps.apply(layer)));
    }
    boolean one = config.booleanValue("tie_word_embeddings", tied);
    return new DecoderSpec(
        family,
        config.size("vocab_size"),
        hidden,
        config.context("max_position_embeddings", 2048),
        new DecoderSpec.Embedding(EMBEDDING, hidden),
        new BlockSpec("", ImmutableList.of()),
        blocks.build(),
        new BlockSpec("model.", ImmutableList.of(new Step.Norm("x", "x", last))),
        new DecoderSpec.Head(one ? EMBEDDING : "lm_head.weight"),
        config.intList("eos_token_id"));
  }

  /** A block with a norm before attention and one before the feed-forward layer. */
  public static ImmutableList<Step> block(ModelConfig config, Body attention, Body feedForward) {
    return Branch.block(
        Branch.before(norm(config, "input_layernorm"), attention),
        Branch.before(norm(config, "post_attention_layernorm"), feedForward));
  }

  /** A block with a norm behind attention and one behind the feed-forward layer. */
  public static ImmutableList<Step> postNormBlock(
      ModelConfig config, Body attention, Body feedForward) {
    return Branch.block(
        Branch.after(attention, norm(config, "post_attention_layernorm")),
        Branch.after(feedForward, norm(config, "post_feedforward_layernorm")));
  }

  /** The same as {@link #block(ModelConfig, Body, Body)} with experts. */
  public static ImmutableList<Step> block(ModelConfig config, Body attention, Experts experts) {
    return ImmutableList.<Step>builder()
        .addAll(Branch.before(norm(config, "input_layernorm"), attention).steps("n", "o"))
        .add(new Step.Norm("x", "m", norm(config, "post_attention_layernorm")))
        .addAll(experts.steps("m", "x"))
        .build();
  }

  /** An RMS norm of the residual stream. */
  public static NormSpec norm(ModelConfig config, String name) {
    return norm(config, NormSpec.Kind.RMS, name, "rms_norm_eps", 1e-6);
  }

  /** A norm of the residual stream. */
  public static NormSpec norm(
      ModelConfig config, NormSpec.Kind kind, String name, String epsilon, double fallback) {
    return new NormSpec(
        name, kind, config.size("hidden_size"), (float) config.doubleValue(epsilon, fallback));
  }

  /** Llama's feed-forward layer. */
  public static FeedForward feedForward(ModelConfig config, boolean bias) {
    return feedForward(config, "mlp.", config.size("intermediate_size"), bias);
  }

  /** One of another place or width, such as that of an expert. */
  public static FeedForward feedForward(
      ModelConfig config, String prefix, int inner, boolean bias) {
    return FeedForward.named(
        prefix,
        config.size("hidden_size"),
        inner,
        Switches.activation(config, "hidden_act", "silu"),
        bias);
  }

  /** Experts with the names of Llama's modules, below {@code prefix} and their number. */
  static ImmutableList<Body> experts(ModelConfig config, String prefix, int count, int inner) {
    return experts(config, prefix, count, inner, FusedExperts.below(prefix));
  }

  /** The same where a checkpoint may keep them together in another way. */
  static ImmutableList<Body> experts(
      ModelConfig config, String prefix, int count, int inner, FusedExperts together) {
    return together.split(count, e -> feedForward(config, prefix + e + ".", inner, false));
  }

  /**
   * Positions that a layer's queries see, 0 for all, where {@code layer_types} says which layers
   * have a window.
   */
  public static int window(ModelConfig config, int layer, boolean fallback) {
    return isSliding(config, layer, fallback)
        ? config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 0)
        : 0;
  }

  /** Whether a layer is of the type {@code sliding_attention}. */
  public static boolean isSliding(ModelConfig config, int layer, boolean fallback) {
    List<String> types = config.stringList("layer_types");
    return switch (layer < types.size() ? types.get(layer) : "") {
      case "" -> fallback;
      case "full_attention" -> false;
      case "sliding_attention" -> true;
      default ->
          throw Switches.refused(
              config,
              "layer_types",
              types.get(layer),
              "full_attention and sliding_attention are supported");
    };
  }
}
