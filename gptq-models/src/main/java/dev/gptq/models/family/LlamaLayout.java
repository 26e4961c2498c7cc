package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.config.ModelConfig;
import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;

/** Names and settings that many families took over from Llama. */
final class LlamaLayout {
  private static final String EMBEDDING = "model.embed_tokens.weight";

  private LlamaLayout() {}

  /** A model whose blocks differ from Llama's. */
  static DecoderSpec decoder(
      String family, ModelConfig config, IntFunction<ImmutableList<Step>> steps) {
    int hidden = config.intValue("hidden_size");
    ImmutableList.Builder<BlockSpec> blocks = ImmutableList.builder();
    for (int layer = 0; layer < config.intValue("num_hidden_layers"); layer++) {
      blocks.add(new BlockSpec("model.layers." + layer + ".", steps.apply(layer)));
    }
    boolean tied = config.booleanValue("tie_word_embeddings", false);
    return new DecoderSpec(
        family,
        config.intValue("vocab_size"),
        hidden,
        config.intValue("max_position_embeddings", 2048),
        new DecoderSpec.Embedding(EMBEDDING, hidden),
        new BlockSpec("", ImmutableList.of()),
        blocks.build(),
        new BlockSpec("model.", ImmutableList.of(new Step.Norm("x", "x", norm(config, "norm")))),
        new DecoderSpec.Head(tied ? EMBEDDING : "lm_head.weight", 0),
        Optional.of(Ropes.of(config, config.headDim())),
        config.intList("eos_token_id"));
  }

  /** A block with a norm before attention and one before the feed-forward layer. */
  static ImmutableList<Step> block(
      ModelConfig config, SelfAttention attention, FeedForward feedForward) {
    return ImmutableList.<Step>builder()
        .addAll(attended(config, attention.steps("n", "o")))
        .addAll(feedForward.steps("m", "d"))
        .add(new Step.Add("d", "x"))
        .build();
  }

  /** The same with experts. */
  static ImmutableList<Step> block(ModelConfig config, SelfAttention attention, Experts experts) {
    return ImmutableList.<Step>builder()
        .addAll(attended(config, attention.steps("n", "o")))
        .addAll(experts.steps("m", "x"))
        .build();
  }

  /** Norm, attention from {@code n} to {@code o}, and the norm {@code m} behind it. */
  static ImmutableList<Step> attended(ModelConfig config, List<Step> attention) {
    return ImmutableList.<Step>builder()
        .add(new Step.Norm("x", "n", norm(config, "input_layernorm")))
        .addAll(attention)
        .add(new Step.Add("o", "x"))
        .add(new Step.Norm("x", "m", norm(config, "post_attention_layernorm")))
        .build();
  }

  static NormSpec norm(ModelConfig config, String name) {
    return new NormSpec(
        name,
        NormSpec.Kind.RMS,
        config.intValue("hidden_size"),
        (float) config.doubleValue("rms_norm_eps", 1e-6));
  }

  /**
   * Positions that a layer's queries see, 0 for all, where {@code layer_types} says which layers
   * have a window.
   */
  static int window(ModelConfig config, int layer, boolean fallback) {
    List<String> types = config.stringList("layer_types");
    boolean sliding =
        switch (layer < types.size() ? types.get(layer) : "") {
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
    return sliding ? config.intValue("sliding_window", 0) : 0;
  }
}
