package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * Gemma 4: norms on both sides of attention and feed-forward layers, values normalised as well,
 * heads of another size in layers without a window, late layers that take keys and values of
 * earlier ones, perhaps an embedding for each layer and perhaps experts beside the feed-forward
 * layer.
 */
final class Gemma4Family implements ModelFamily {
  private static final ImmutableMap<String, Object> DEFAULTS =
      ImmutableMap.<String, Object>builder()
          .put("vocab_size", 262_144)
          .put("num_attention_heads", 8)
          .put("num_key_value_heads", 4)
          .put("head_dim", 256)
          .put("max_position_embeddings", 131_072)
          .put("sliding_window", 512)
          .put("hidden_size_per_layer_input", 256)
          .put(
              "rope_parameters",
              ImmutableMap.of(
                  "sliding_attention",
                  ImmutableMap.of("rope_type", "default", "rope_theta", 1e4),
                  "full_attention",
                  ImmutableMap.of(
                      "rope_type",
                      "proportional",
                      "rope_theta",
                      1e6,
                      "partial_rotary_factor",
                      0.25)))
          .buildOrThrow();

  /** What all layers read of the embeddings for each layer. */
  private static final String EMBEDDED = "layers";

  @Override
  public ImmutableSet<String> modelTypes() {
    return ImmutableSet.of("gemma4_text");
  }

  @Override
  public DecoderSpec describe(ModelConfig given) {
    ModelConfig config = given.or(DEFAULTS);
    String bidirectional = config.stringValue("use_bidirectional_attention", "vision");
    if (!bidirectional.equals("vision")) {
      throw Switches.refused(
          config, "use_bidirectional_attention", bidirectional, "null and vision are supported");
    }
    DecoderSpec spec =
        LlamaLayout.decoder(
            "Gemma 4", config, true, layer -> new Gemma4Block(config, layer).steps());
    return spec.withOpening(opening(config))
        .withBlocks(keeping(config, spec.blocks()))
        .withHead(
            new DecoderSpec.Head(
                spec.head().matrix(),
                Optional.empty(),
                1,
                (float) config.doubleValue("final_logit_softcapping", 0)));
  }

  private static BlockSpec opening(ModelConfig config) {
    int hidden = config.size("hidden_size");
    Step scaled = new Step.Scale((float) Math.sqrt(hidden), Step.RESIDUAL);
    Optional<Integer> own = Gemma4Block.embeddedFeatures(config);
    if (own.isEmpty()) {
      return new BlockSpec("model.", ImmutableList.of(scaled));
    }
    int size = own.get();
    int all = Math.multiplyExact(config.blocks("num_hidden_layers"), size);
    int rows = config.size("vocab_size_per_layer_input", 262_144);
    float epsilon = (float) config.doubleValue("rms_norm_eps", 1e-6);
    ImmutableList<Step> steps =
        ImmutableList.of(
            scaled,
            new Step.Lookup("embed_tokens_per_layer.weight", rows, all, EMBEDDED),
            new Step.Scale((float) Math.sqrt(size), EMBEDDED),
            new Step.Project(
                Step.RESIDUAL,
                new LinearSpec("per_layer_model_projection", "projected", all, hidden, false)),
            new Step.Scale((float) (1 / Math.sqrt(hidden)), "projected"),
            new Step.Norm(
                "projected",
                "projected",
                new NormSpec("per_layer_projection_norm", NormSpec.Kind.RMS, size, epsilon)),
            new Step.Add("projected", EMBEDDED),
            new Step.Scale((float) Math.sqrt(0.5), EMBEDDED));
    return new BlockSpec("model.", steps, ImmutableSet.of(EMBEDDED));
  }

  /** Each block keeps what a later one needs. */
  private static ImmutableList<BlockSpec> keeping(
      ModelConfig config, ImmutableList<BlockSpec> blocks) {
    Set<String> needed = new HashSet<>();
    ImmutableList.Builder<BlockSpec> backwards = ImmutableList.builder();
    for (BlockSpec block : blocks.reverse()) {
      backwards.add(block.keeping(needed));
      block.steps().forEach(step -> needed.removeAll(step.defines()));
      needed.addAll(block.needs());
    }
    if (!Set.of(EMBEDDED).containsAll(needed)) {
      throw Switches.refused(
          config,
          "num_kv_shared_layers",
          String.valueOf(config.intValue("num_kv_shared_layers", 0)),
          "a layer of each kind before them must have keys and values of its own");
    }
    return backwards.build().reverse();
  }
}
