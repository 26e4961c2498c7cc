package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.SelfAttention.Names;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * GPT-J: attention and feed-forward side by side behind one layer norm, the first channels of each
 * head rotated in neighbouring pairs, a bias behind the head.
 */
final class GptJFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("gptj");
  }

  @Override
  public String base() {
    return "transformer.";
  }

  @Override
  public DecoderSpec describe(ModelConfig config) {
    int hidden = config.size("n_embd");
    int heads = config.heads("n_head");
    int size = hidden / heads;
    int rotated = config.intValue("rotary_dim", size);
    float scale = (float) (1 / Math.sqrt(size));
    SelfAttention attention =
        new SelfAttention(
            hidden,
            new AttentionSpec(heads, heads, size, scale, 0, 0, false),
            new Names("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj"),
            false,
            false,
            Optional.empty(),
            Optional.of(Ropes.plain(1e4, rotated).withPairs(RopePairs.ADJACENT)));
    PlainFeedForward feedForward =
        new PlainFeedForward(
            "mlp.fc_in",
            "mlp.fc_out",
            hidden,
            config.size("n_inner", 4 * hidden),
            Switches.activation(config, "activation_function", "gelu_new"),
            true);
    ImmutableList<Step> block =
        Branch.parallel(norm(config, hidden, "ln_1"), attention, feedForward);
    String embedding = "transformer.wte.weight";
    boolean tied = config.booleanValue("tie_word_embeddings", false);
    return new DecoderSpec(
        "GPT-J",
        config.size("vocab_size"),
        hidden,
        config.context("n_positions", 2048),
        new DecoderSpec.Embedding(embedding, hidden),
        new BlockSpec("", ImmutableList.of()),
        IntStream.range(0, config.blocks("n_layer"))
            .mapToObj(layer -> new BlockSpec("transformer.h." + layer + ".", block))
            .collect(ImmutableList.toImmutableList()),
        new BlockSpec(
            "transformer.",
            ImmutableList.of(new Step.Norm("x", "x", norm(config, hidden, "ln_f")))),
        new DecoderSpec.Head(tied ? embedding : "lm_head.weight").withBias("lm_head.bias"),
        config.intList("eos_token_id"));
  }

  private static NormSpec norm(ModelConfig config, int hidden, String name) {
    float epsilon = (float) config.doubleValue("layer_norm_epsilon", 1e-5);
    return new NormSpec(name, NormSpec.Kind.LAYER, hidden, epsilon);
  }
}
