package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Step.Split.Part;
import java.util.stream.IntStream;

/**
 * Falcon: one module for queries, keys and values, side by side in each group of heads that share a
 * key; attention and feed-forward side by side or one after the other, with one norm or two; rotary
 * positions or ALiBi.
 */
final class FalconFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("falcon");
  }

  @Override
  public String base() {
    return "transformer.";
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    int hidden = config.size("hidden_size");
    ImmutableList<Step> block = block(config, hidden);
    String embedding = "transformer.word_embeddings.weight";
    boolean tied = config.booleanValue("tie_word_embeddings", true);
    return new DecoderSpec(
        "Falcon",
        config.size("vocab_size"),
        hidden,
        config.context("max_position_embeddings", 2048),
        new DecoderSpec.Embedding(embedding, hidden),
        new BlockSpec("", ImmutableList.of()),
        IntStream.range(0, config.blocks("num_hidden_layers", "n_layer"))
            .mapToObj(layer -> new BlockSpec("transformer.h." + layer + ".", block))
            .collect(ImmutableList.toImmutableList()),
        new BlockSpec(
            "transformer.", ImmutableList.of(new Step.Norm("x", "x", norm(config, "ln_f")))),
        new DecoderSpec.Head(tied ? embedding : "lm_head.weight"),
        config.intList("eos_token_id"));
  }

  private static ImmutableList<Step> block(ModelConfig config, int hidden) {
    boolean grouped = config.booleanValue("new_decoder_architecture", false);
    boolean parallel = config.booleanValue("parallel_attn", true);
    Body attention = (in, out) -> attention(config, hidden, in, out);
    PlainFeedForward feedForward =
        new PlainFeedForward(
            "mlp.dense_h_to_4h",
            "mlp.dense_4h_to_h",
            hidden,
            config.size("ffn_hidden_size", 4 * hidden),
            Switches.activation(config, "activation", "gelu"),
            config.booleanValue("bias", false));
    if (grouped && !parallel) {
      throw Switches.refused(
          config, "parallel_attn", "false", "new_decoder_architecture needs it to be true");
    }
    if (!parallel) {
      return Branch.block(
          Branch.before(norm(config, "input_layernorm"), attention),
          Branch.before(norm(config, "post_attention_layernorm"), feedForward));
    }
    if (grouped && config.intValue("num_ln_in_parallel_attn", 2) == 2) {
      return ImmutableList.<Step>builder()
          .add(new Step.Norm("x", "n", norm(config, "ln_attn")))
          .add(new Step.Norm("x", "m", norm(config, "ln_mlp")))
          .addAll(attention.steps("n", "o"))
          .add(new Step.Add("o", "x"))
          .addAll(feedForward.steps("m", "d"))
          .add(new Step.Add("d", "x"))
          .build();
    }
    return Branch.parallel(norm(config, "input_layernorm"), attention, feedForward);
  }

  private static ImmutableList<Step> attention(
      ModelConfig config, int hidden, String in, String out) {
    int heads = config.heads("num_attention_heads", "n_head");
    int size = hidden / heads;
    boolean grouped = config.booleanValue("new_decoder_architecture", false);
    boolean shared = !grouped && config.booleanValue("multi_query", true);
    int keys = shared ? 1 : grouped ? config.heads("num_kv_heads", heads) : heads;
    boolean bias = config.booleanValue("bias", false);
    boolean alibi = config.booleanValue("alibi", false);
    float scale = (float) (1 / Math.sqrt(size));
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps.add(
        new Step.Linears(
            in,
            ImmutableList.of(
                new LinearSpec(
                    "self_attention.query_key_value",
                    "qkv",
                    (heads + 2 * keys) * size,
                    hidden,
                    bias))));
    steps.add(
        new Step.Split(
            "qkv",
            keys,
            ImmutableList.of(
                new Part("q", hidden), new Part("k", keys * size), new Part("v", keys * size))));
    if (!alibi) {
      RopeSpec rope = Ropes.of(config, size);
      steps.add(new Step.Rope("q", size, rope));
      steps.add(new Step.Rope("k", size, rope));
    }
    // Distances are added before scores are scaled.
    steps.add(
        new Step.Attention(
            "q",
            "k",
            "v",
            "a",
            new AttentionSpec(heads, keys, size, scale, 0, 0, alibi ? scale : 0)));
    steps.add(
        new Step.Linears(
            "a",
            ImmutableList.of(new LinearSpec("self_attention.dense", out, hidden, hidden, bias))));
    return steps.build();
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, NormSpec.Kind.LAYER, name, "layer_norm_epsilon", 1e-5);
  }
}
