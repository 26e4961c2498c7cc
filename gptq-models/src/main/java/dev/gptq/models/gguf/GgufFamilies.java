package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufValues;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** All model types that are known in GGUF files. */
public final class GgufFamilies {
  private static final String ARCHITECTURE = "general.architecture";
  private static final String CORRECTION = ".exp_probs_b.bias";

  private static final ImmutableList<GgufFamily> DENSE =
      ImmutableList.of(
          GgufLayouts.llamaLike("llama", "LlamaForCausalLM", "llama")
              .pairsNeighbours()
              .bias("attention_bias", "attn_q.bias")
              .bias("mlp_bias", "ffn_gate.bias")
              .build(),
          GgufLayouts.llamaLike("mistral", "MistralForCausalLM", "llama").pairsNeighbours().build(),
          GgufLayouts.llamaLike("ministral", "MinistralForCausalLM", "llama")
              .pairsNeighbours()
              .build(),
          GgufLayouts.llamaLike("ministral3", "Ministral3ForCausalLM", "mistral3")
              .pairsNeighbours()
              .trait(GgufFamily.Trait.TEMPERED)
              .trait(GgufFamily.Trait.YARN)
              .build(),
          GgufLayouts.llamaLike("qwen2", "Qwen2ForCausalLM", "qwen2")
              .bias("qkv_bias", "attn_q.bias")
              .build(),
          GgufLayouts.llamaLike("qwen3", "Qwen3ForCausalLM", "qwen3")
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .bias("attention_bias", "attn_q.bias")
              .build(),
          gemma("gemma2", "Gemma2ForCausalLM", "gemma2")
              .real("attn_logit_softcapping", "attn_logit_softcapping")
              .windows(2)
              .build(),
          gemma("gemma3_text", "Gemma3ForCausalLM", "gemma3")
              .modules("self_attn.q_norm", "attn_q_norm", "self_attn.k_norm", "attn_k_norm")
              .windows(6)
              .localRope(6)
              .build(),
          GgufLayouts.llamaLike("smollm3", "SmolLM3ForCausalLM", "smollm3")
              .pairsNeighbours()
              .unrotated(4)
              .build(),
          GgufLayouts.llamaLike("granite", "GraniteForCausalLM", "granite")
              .pairsNeighbours()
              .real("embedding_scale", "embedding_multiplier", 1)
              .real("residual_scale", "residual_multiplier", 1)
              .real("attention.scale", "attention_multiplier", 1)
              .real("logit_scale", "logits_scaling", 1)
              .build(),
          olmo("olmo3", "Olmo3ForCausalLM")
              .windows(4)
              .localRope(4)
              .trait(GgufFamily.Trait.ONE_BASE)
              .trait(GgufFamily.Trait.YARN)
              .marker("attention.sliding_window")
              .build(),
          olmo("olmo2", "Olmo2ForCausalLM").build(),
          fused(GgufLayouts.llamaLike("phi3", "Phi3ForCausalLM", "phi3"))
              .without("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
              .modules("self_attn.qkv_proj", "attn_qkv")
              .whole("rope.scaling.original_context_length", "original_max_position_embeddings")
              .trait(GgufFamily.Trait.LONG_ROPE)
              .build(),
          glm("glm", "GlmForCausalLM", "chatglm").trait(GgufFamily.Trait.WHOLE_HEADS).build(),
          glm("glm4", "Glm4ForCausalLM", "glm4")
              .modules(
                  "post_self_attn_layernorm",
                  "post_attention_norm",
                  "post_mlp_layernorm",
                  "post_ffw_norm")
              .build());

  /** Of two with one architecture, the one with experts is that of files which count them. */
  private static final ImmutableList<GgufFamily> ALL =
      Stream.of(
              DENSE,
              LlamaRelatives.ALL,
              LayerNormFamilies.ALL,
              MixtureFamilies.ALL,
              LatentFamilies.ALL,
              GraniteFamilies.ALL,
              MambaFamilies.ALL,
              DeltaFamilies.ALL,
              GemmaFamilies.ALL,
              VisionFamilies.ALL,
              HybridFamilies.ALL)
          .flatMap(ImmutableList::stream)
          .collect(ImmutableList.toImmutableList());

  private static final String ABSENT = "llama.cpp does not have them";

  /** As of llama.cpp 0.5.0. */
  private static final ImmutableMap<String, String> UNWRITTEN =
      ImmutableMap.<String, String>builder()
          .put(
              "phimoe",
              "llama.cpp takes their norms, which have means and biases, for root mean squares, and"
                  + " weighs both experts at once")
          .put("cwm", ABSENT)
          .put("gptj", ABSENT)
          .put("helium", ABSENT)
          .put("hyperclovax", ABSENT)
          .put("nanochat", ABSENT)
          .put("opt", ABSENT)
          .buildOrThrow();

  /** Blocks of the two models whose queries are scaled by the width of the model over its heads. */
  private static final ImmutableList<Integer> WIDE_QUERIES = ImmutableList.of(46, 62);

  /** Experts of the only Llama 4 that does not normalise heads. */
  public static final int PLAIN_HEADS = 128;

  private GgufFamilies() {}

  /** Whether Gemma of so many blocks scales queries by the width of the model over its heads. */
  public static boolean hasWideQueries(int blocks) {
    return WIDE_QUERIES.contains(blocks);
  }

  private static GgufFamilyBuilder gemma(String type, String modelClass, String architecture) {
    return GgufLayouts.common(type, modelClass, architecture)
        .normsPlusOne()
        .modules(
            "post_attention_layernorm",
            "post_attention_norm",
            "pre_feedforward_layernorm",
            "ffn_norm",
            "post_feedforward_layernorm",
            "post_ffw_norm")
        .trait(GgufFamily.Trait.QUERY_SCALAR)
        .real("final_logit_softcapping", "final_logit_softcapping")
        .fixed("hidden_activation", "gelu_pytorch_tanh", "gelu_pytorch_tanh");
  }

  /** Norms of all queries and all keys together. */
  private static GgufFamilyBuilder olmo(String type, String modelClass) {
    return GgufLayouts.normsBehind(type, modelClass, "olmo2")
        .fixed("attention_bias", false, false)
        .ownHead();
  }

  private static GgufFamilyBuilder glm(String type, String modelClass, String architecture) {
    return fused(GgufLayouts.llamaLike(type, modelClass, architecture))
        .bias("attention_bias", "attn_q.bias")
        .trait(GgufFamily.Trait.STATED_HEADS)
        .trait(GgufFamily.Trait.PARTLY_ROTATED);
  }

  /** Gate and up projection are one matrix. */
  private static GgufFamilyBuilder fused(GgufFamilyBuilder family) {
    return family.without("mlp.gate_proj", "mlp.up_proj").modules("mlp.gate_up_proj", "ffn_up");
  }

  /**
   * Those of a {@code model_type} and of so many blocks: none if it is not known; several if they
   * differ in what llama.cpp takes for granted.
   */
  public static ImmutableList<GgufFamily> find(String modelType, int blocks) {
    return ALL.stream()
        .filter(family -> family.modelType().equals(modelType))
        .filter(family -> family.blocks().contains(blocks))
        .collect(ImmutableList.toImmutableList());
  }

  /** Why those of a {@code model_type} are not written, where more is known than that. */
  public static Optional<String> reason(String modelType) {
    return Optional.ofNullable(UNWRITTEN.get(modelType));
  }

  /** All model types, for messages. */
  public static String modelTypes() {
    return ALL.stream().map(GgufFamily::modelType).distinct().collect(Collectors.joining(", "));
  }

  /** That of a file; throws {@link BadInputException} if it is not known. */
  static GgufFamily of(GgufFile file) {
    GgufValues values = file.values();
    String architecture =
        values
            .text(ARCHITECTURE)
            .orElseThrow(() ->
                new BadInputException(
                    "%s: '%s' is missing; is the file a model?"
                        .formatted(values.file(), ARCHITECTURE)));
    boolean experts = values.integer(architecture + ".expert_count").orElse(0) > 0;
    int blocks = values.integer(architecture + ".block_count").orElse(0);
    ImmutableList<GgufFamily> named =
        ALL.stream()
            .filter(family -> family.architecture().equals(architecture))
            .filter(family -> family.experts().isEmpty() != experts)
            .collect(ImmutableList.toImmutableList());
    if (!named.isEmpty() && named.stream().allMatch(family -> other(family, file).isPresent())) {
      throw new BadInputException(
          "%s: %s, which cannot be read"
              .formatted(values.file(), other(named.getFirst(), file).orElseThrow()));
    }
    return named.stream()
        .filter(family -> other(family, file).isEmpty())
        .filter(family -> family.blocks().contains(blocks))
        .filter(family -> isMarked(family, file))
        .findFirst()
        .orElseThrow(() ->
            new BadInputException(
                "%s: the architecture is '%s'%s, which cannot be read; these can: %s"
                    .formatted(
                        values.file(),
                        architecture,
                        experts ? " with experts" : "",
                        ALL.stream()
                            .map(GgufFamily::architecture)
                            .distinct()
                            .collect(Collectors.joining(", ")))));
  }

  /** Whether a file has what those of a family are known by. */
  private static boolean isMarked(GgufFamily family, GgufFile file) {
    String marker = family.marker();
    return marker.isEmpty()
        || file.tensors().containsKey(GgufFamily.BLOCKS + "0." + marker)
        || file.values().integer(family.architecture() + "." + marker).orElse(0) > 0;
  }

  /** What a file says in place of what all of a family say. */
  private static Optional<String> other(GgufFamily family, GgufFile file) {
    return family.constants().entrySet().stream()
        .flatMap(constant -> {
          String key = family.architecture() + "." + constant.getKey();
          int wanted = constant.getValue();
          int found = file.values().integer(key).orElseGet(() -> unsaid(file, key, wanted));
          return found == wanted
              ? Stream.empty()
              : Stream.of("'%s' is %d and not %d".formatted(key, found, wanted));
        })
        .findFirst();
  }

  /**
   * Files that do not say how scores of experts become weights, but correct them: by the sigmoid.
   */
  private static int unsaid(GgufFile file, String key, int wanted) {
    boolean corrected =
        key.endsWith(MixtureFamilies.GATING)
            && file.tensors().keySet().stream().anyMatch(name -> name.endsWith(CORRECTION));
    return corrected ? MixtureFamilies.SIGMOID : wanted;
  }
}
