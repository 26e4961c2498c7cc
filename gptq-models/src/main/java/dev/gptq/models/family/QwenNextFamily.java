package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.backend.Activation;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.Step.Split.Part;
import java.util.List;

/**
 * Qwen3-Next and Qwen 3.5 and later: gains that are stored less by one, three layers of four with
 * Gated DeltaNet, the fourth with attention whose output is gated; a feed-forward layer, or experts
 * and one that all tokens take.
 */
final class QwenNextFamily implements ModelFamily {

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config =
        given.or(
            ImmutableMap.of(
                "partial_rotary_factor", 0.25, "norm_topk_prob", true, "head_dim", 256));
    boolean next = config.modelType().equals("qwen3_next");
    return LlamaLayout.decoder(
        next ? "Qwen3-Next" : "Qwen3.5",
        config,
        false,
        norm(config, "norm"),
        layer -> block(config, next, layer));
  }

  private static ImmutableList<Step> block(ModelConfig config, boolean next, int layer) {
    Body mixer =
        isLinear(config, layer)
            ? GatedDeltaNet.of(config, next)
            : (in, out) -> attention(config, in, out);
    Branch attention = Branch.before(norm(config, "input_layernorm"), mixer);
    NormSpec before = norm(config, "post_attention_layernorm");
    if (isDense(config, layer)) {
      return Branch.block(attention, Branch.before(before, LlamaLayout.feedForward(config, false)));
    }
    return ImmutableList.<Step>builder()
        .addAll(attention.steps("n", "o"))
        .add(new Step.Norm("x", "m", before))
        .addAll(QwenFamily.experts(config).steps("m", "x"))
        .build();
  }

  private static boolean isDense(ModelConfig config, int layer) {
    return config.modelType().equals("qwen3_5_text")
        || config.intList("mlp_only_layers").contains(layer)
        || (layer + 1) % config.intBetween("decoder_sparse_step", 1, Integer.MAX_VALUE, 1) != 0;
  }

  private static boolean isLinear(ModelConfig config, int layer) {
    List<String> types = config.stringList("layer_types");
    if (layer >= types.size()) {
      return (layer + 1) % config.intBetween("full_attention_interval", 1, Integer.MAX_VALUE, 4)
          != 0;
    }
    return switch (types.get(layer)) {
      case "linear_attention" -> true;
      case "full_attention" -> false;
      default ->
          throw Switches.refused(
              config,
              "layer_types",
              types.get(layer),
              "linear_attention and full_attention are supported");
    };
  }

  /** A query and the gate of its output follow each other in each head. */
  private static ImmutableList<Step> attention(ModelConfig config, String in, String out) {
    boolean bias = config.booleanValue("attention_bias", false);
    SelfAttention attention =
        SelfAttention.of(config, 0)
            .withBias(bias, bias)
            .withHeadNorm(Kind.RMS_PLUS_ONE, config.doubleValue("rms_norm_eps", 1e-6));
    int hidden = config.size("hidden_size");
    int queries = attention.queries();
    int keys = attention.keys();
    ImmutableList<Step> prepared = attention.prepared(out);
    return ImmutableList.<Step>builder()
        .add(
            new Step.Linears(
                in,
                ImmutableList.of(
                    new LinearSpec("self_attn.k_proj", "k", keys, hidden, bias),
                    new LinearSpec("self_attn.v_proj", "v", keys, hidden, bias),
                    new LinearSpec("self_attn.q_proj", "qg", 2 * queries, hidden, bias))))
        .add(
            new Step.Split(
                "qg",
                attention.shape().heads(),
                ImmutableList.of(new Part("q", queries), new Part("g", queries))))
        .addAll(prepared.subList(0, prepared.size() - 1))
        .add(new Step.Gate(Activation.SIGMOID, "g", "a"))
        .add(
            new Step.Linears(
                "g",
                ImmutableList.of(new LinearSpec("self_attn.o_proj", out, hidden, queries, bias))))
        .build();
  }

  private static NormSpec norm(ModelConfig config, String name) {
    return LlamaLayout.norm(config, Kind.RMS_PLUS_ONE, name, "rms_norm_eps", 1e-6);
  }
}
