package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.models.Model;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.RopeSpec;
import dev.gptq.models.family.Step;
import java.util.List;
import java.util.Optional;

/** What a GGUF file says of a model's architecture. */
final class GgufModel {
  /** Names of architectures in GGUF by {@code model_type}. */
  private static final ImmutableMap<String, String> ARCHITECTURES =
      ImmutableMap.of(
          "llama", "llama", "mistral", "llama", "mixtral", "llama", "qwen2", "qwen2", "qwen3",
          "qwen3");

  private static final String LLAMA = "llama";

  private final Model model;
  private final ModelConfig config;
  private final String architecture;

  private GgufModel(Model model, ModelConfig config, String architecture) {
    this.model = model;
    this.config = config;
    this.architecture = architecture;
  }

  /**
   * Of a model; throws if its architecture, or something that its configuration asks for, has no
   * place.
   */
  static GgufModel of(Model model) {
    ModelConfig config = model.config().text();
    String architecture = ARCHITECTURES.get(config.modelType());
    if (architecture == null) {
      throw new BadInputException(
          "%s: models of the type %s cannot be written as GGUF; these can: %s"
              .formatted(
                  config.file(), config.modelType(), String.join(", ", ARCHITECTURES.keySet())));
    }
    GgufModel result = new GgufModel(model, config, architecture);
    result.check();
    return result;
  }

  private void check() {
    String activation = config.stringValue("hidden_act", "silu");
    if (!activation.equals("silu")) {
      throw refused("activation is " + activation + " and not silu");
    }
    for (BlockSpec block : model.spec().blocks()) {
      for (Step step : block.steps()) {
        if (step instanceof Step.Attention attention
            && attention.spec().window() > 0
            && attention.spec().window() < model.spec().context()) {
          throw refused("layers see a window of " + attention.spec().window() + " tokens only");
        }
      }
    }
    RopeSpec rope = rope();
    if (rope.factor() != 1 || rope.beyond().isPresent()) {
      throw refused("rotary positions are of the type " + config.rope().type());
    }
    if (2 * rope.frequencies().length() != config.headDim()) {
      throw refused("heads are rotated in part");
    }
    if (stretches().isPresent() && !architecture.equals(LLAMA)) {
      throw refused("rotary positions are of the type " + config.rope().type());
    }
  }

  private BadInputException refused(String what) {
    return new BadInputException(
        "%s: %s, which the GGUF architecture %s has no place for"
            .formatted(config.file(), what, architecture));
  }

  private RopeSpec rope() {
    List<RopeSpec> all =
        model.spec().blocks().stream()
            .flatMap(block -> block.steps().stream())
            .filter(Step.Rope.class::isInstance)
            .map(step -> ((Step.Rope) step).rope())
            .distinct()
            .toList();
    if (all.size() != 1) {
      throw refused("layers have different rotary positions");
    }
    return all.getFirst();
  }

  /** Its name in the file. */
  String architecture() {
    return architecture;
  }

  /** Channels of a head. */
  int headDim() {
    return config.headDim();
  }

  /** Whether the two channels that turn together lie side by side. */
  boolean pairsNeighbours() {
    return architecture.equals(LLAMA);
  }

  /** By what each frequency is divided, unless all are by one. */
  Optional<float[]> stretches() {
    ImmutableDoubleArray frequencies = rope().frequencies();
    float[] stretches = new float[frequencies.length()];
    boolean plain = true;
    for (int c = 0; c < stretches.length; c++) {
      double usual = Math.pow(config.rope().theta(), -2.0 * c / config.headDim());
      stretches[c] = (float) (usual / frequencies.get(c));
      plain &= Math.abs(stretches[c] - 1) < 1e-6f;
    }
    return plain ? Optional.empty() : Optional.of(stretches);
  }

  /** Adds the entries that begin with the name of the architecture. */
  void describe(GgufMetadata metadata) {
    String a = architecture + ".";
    metadata.put(a + "block_count", model.spec().blocks().size());
    metadata.put(a + "context_length", model.spec().context());
    metadata.put(a + "embedding_length", model.spec().hidden());
    metadata.put(a + "feed_forward_length", config.size("intermediate_size"));
    int heads = config.heads("num_attention_heads");
    metadata.put(a + "attention.head_count", heads);
    metadata.put(a + "attention.head_count_kv", config.heads("num_key_value_heads", heads));
    metadata.put(a + "attention.key_length", config.headDim());
    metadata.put(a + "attention.value_length", config.headDim());
    metadata.put(
        a + "attention.layer_norm_rms_epsilon", (float) config.doubleValue("rms_norm_eps", 1e-6));
    metadata.put(a + "rope.freq_base", (float) config.rope().theta());
    metadata.put(a + "rope.dimension_count", config.headDim());
    metadata.put(a + "vocab_size", model.spec().vocabulary());
    if (config.has("num_local_experts")) {
      metadata.put(a + "expert_count", config.intValue("num_local_experts"));
      metadata.put(a + "expert_used_count", config.intValue("num_experts_per_tok"));
    }
  }
}
