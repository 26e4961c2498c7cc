package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.NormSpec.Kind;
import dev.gptq.models.family.Step.Split.Part;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * A block of Gemma 4; keys and values have names of their kind of layer, since others read them.
 */
final class Gemma4Block {
  private static final String FULL = "full_attention";

  private final ModelConfig config;
  private final int layer;
  private final int layers;
  private final int hidden;
  private final boolean full;
  private final boolean shared;
  private final Activation function;

  Gemma4Block(ModelConfig config, int layer) {
    this.config = config;
    this.layer = layer;
    this.layers = config.blocks("num_hidden_layers");
    this.hidden = config.size("hidden_size");
    // The last layer sees everything, whatever the file says.
    this.full = layer == layers - 1 || !LlamaLayout.isSliding(config, layer, (layer + 1) % 6 != 0);
    this.shared = layer >= layers - config.intBetween("num_kv_shared_layers", 0, layers, 0);
    this.function = Switches.activation(config, "hidden_activation", "gelu_pytorch_tanh");
  }

  /** Features of the embedding that each layer has, if they have one. */
  static Optional<Integer> embeddedFeatures(ModelConfig config) {
    int size = config.intBetween("hidden_size_per_layer_input", 0, 1 << 20, 0);
    return size == 0 ? Optional.empty() : Optional.of(size);
  }

  ImmutableList<Step> steps() {
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps.addAll(
        Branch.between(norm("input_layernorm"), this::attention, norm("post_attention_layernorm"))
            .steps("n", "o"));
    steps.addAll(
        Branch.between(
                norm("pre_feedforward_layernorm"),
                config.booleanValue("enable_moe_block", false) ? this::mixture : feedForward(),
                norm("post_feedforward_layernorm"))
            .steps("m", "d"));
    embeddedFeatures(config).ifPresent(size -> steps.addAll(embedded(size)));
    return steps
        .add(new Step.Weigh(Step.RESIDUAL, "layer_scalar", 1, hidden, Step.RESIDUAL))
        .build();
  }

  private ImmutableList<Step> attention(String in, String out) {
    int size = override("head_dim", "global_head_dim", 512).orElseGet(() -> config.headDim());
    int heads = config.heads("num_attention_heads");
    boolean keysAreValues = full && config.booleanValue("attention_k_eq_v", false);
    int keyHeads =
        override("num_key_value_heads", keysAreValues ? "num_global_key_value_heads" : "", 0)
            .orElseGet(() -> config.heads("num_key_value_heads"));
    boolean bias = config.booleanValue("attention_bias", false);
    String kind = full ? FULL : "sliding_attention";
    String k = "k." + kind;
    String v = "v." + kind;
    int window = full ? 0 : config.intBetween("sliding_window", 0, Integer.MAX_VALUE, 0);
    RopeSpec rope = Ropes.of(config, config.rope(kind), size);
    float epsilon = (float) config.doubleValue("rms_norm_eps", 1e-6);
    int queries = heads * size;
    int keys = keyHeads * size;
    LinearSpec query = new LinearSpec("self_attn.q_proj", "q", queries, hidden, bias);
    LinearSpec key = new LinearSpec("self_attn.k_proj", k, keys, hidden, bias);
    LinearSpec value = new LinearSpec("self_attn.v_proj", v, keys, hidden, bias);
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps.add(
        new Step.Linears(
            in,
            shared
                ? ImmutableList.of(query)
                : keysAreValues
                    ? ImmutableList.of(key, query)
                    : ImmutableList.of(key, value, query)));
    steps.add(new Step.Norm("q", "q", new NormSpec("self_attn.q_norm", Kind.RMS, size, epsilon)));
    steps.add(new Step.Rope("q", size, rope));
    if (!shared) {
      if (keysAreValues) {
        steps.add(new Step.Join(ImmutableList.of(new Step.Join.Piece(k, keys, keys)), 1, v));
      }
      steps.add(new Step.Norm(k, k, new NormSpec("self_attn.k_norm", Kind.RMS, size, epsilon)));
      steps.add(
          new Step.Norm(v, v, new NormSpec("self_attn.v_norm", Kind.RMS_PLAIN, size, epsilon)));
      steps.add(new Step.Rope(k, size, rope));
    }
    return steps
        .add(
            new Step.Attention(
                "q", k, v, "a", new AttentionSpec(heads, keyHeads, size, 1, window, 0, false)))
        .add(
            new Step.Linears(
                "a",
                ImmutableList.of(new LinearSpec("self_attn.o_proj", out, hidden, queries, bias))))
        .build();
  }

  /**
   * What this layer has of its own: of {@code per_layer_config}, or where there is none, what older
   * files say of all layers without a window.
   */
  private OptionalInt override(String key, String global, int fallback) {
    Optional<JsonConfig> all = config.section("per_layer_config");
    if (all.isPresent()) {
      Optional<JsonConfig> own = all.get().section(String.valueOf(layer));
      own.ifPresent(this::requireKnown);
      return own.map(o -> o.optionalIntBetween(key, 1, 1 << 14)).orElse(OptionalInt.empty());
    }
    if (!full || global.isEmpty()) {
      return OptionalInt.empty();
    }
    OptionalInt found = config.optionalIntBetween(global, 1, 1 << 14);
    return found.isPresent() || fallback == 0 ? found : OptionalInt.of(fallback);
  }

  private void requireKnown(JsonConfig own) {
    for (String key : own.json().propertyNames()) {
      if (!key.equals("head_dim") && !key.equals("num_key_value_heads")) {
        throw Switches.refused(
            config,
            "per_layer_config",
            key,
            "head_dim and num_key_value_heads of single layers are supported");
      }
    }
  }

  private FeedForward feedForward() {
    int wide = shared && config.booleanValue("use_double_wide_mlp", false) ? 2 : 1;
    return FeedForward.named(
        "mlp.", hidden, wide * config.size("intermediate_size"), function, false);
  }

  /** The feed-forward layer and experts, which read the residual stream, each normalised. */
  private ImmutableList<Step> mixture(String in, String out) {
    int count = config.experts(layers, "num_experts");
    int inner = config.size("moe_intermediate_size");
    Experts experts =
        new Experts(
            "router.proj",
            hidden,
            Routing.softmax(config.intBetween("top_k_experts", 1, count), true)
                .withGains("router.per_expert_scale"),
            FusedExperts.below("experts.")
                .split(
                    count,
                    e -> FeedForward.named("experts." + e + ".", hidden, inner, function, false)));
    float epsilon = (float) config.doubleValue("rms_norm_eps", 1e-6);
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps.addAll(feedForward().steps(in, out));
    steps.add(new Step.Norm(out, out, norm("post_feedforward_layernorm_1")));
    steps.add(
        new Step.Norm(
            Step.RESIDUAL, "routed", new NormSpec("router.norm", Kind.RMS_PLAIN, hidden, epsilon)));
    steps.add(new Step.Weigh("routed", "router.scale", hidden, hidden, "routed"));
    steps.add(new Step.Scale((float) (1 / Math.sqrt(hidden)), "routed"));
    steps.add(new Step.Norm(Step.RESIDUAL, "e", norm("pre_feedforward_layernorm_2")));
    // Experts add to something: nothing at first.
    steps.add(new Step.Norm(Step.RESIDUAL, "sum", norm("pre_feedforward_layernorm_2")));
    steps.add(new Step.Scale(0, "sum"));
    steps.addAll(experts.steps("routed", "e", "sum"));
    steps.add(new Step.Norm("sum", "sum", norm("post_feedforward_layernorm_2")));
    return steps.add(new Step.Add("sum", out)).build();
  }

  /** What this layer's part of the embeddings brings. */
  private ImmutableList<Step> embedded(int size) {
    ImmutableList.Builder<Part> parts = ImmutableList.builder();
    if (layer > 0) {
      parts.add(new Part("layers.before", layer * size));
    }
    parts.add(new Part("layers.own", size));
    if (layer < layers - 1) {
      parts.add(new Part("layers.after", (layers - 1 - layer) * size));
    }
    return ImmutableList.of(
        new Step.Linears(
            Step.RESIDUAL,
            ImmutableList.of(new LinearSpec("per_layer_input_gate", "g", size, hidden, false))),
        new Step.Split("layers", 1, parts.build()),
        new Step.Gate(function, "g", "layers.own"),
        new Step.Linears(
            "g",
            ImmutableList.of(new LinearSpec("per_layer_projection", "p", hidden, size, false))),
        new Step.Norm("p", "p", norm("post_per_layer_input_norm")),
        new Step.Add("p", Step.RESIDUAL));
  }

  private NormSpec norm(String name) {
    return LlamaLayout.norm(config, name);
  }
}
