package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.models.Model;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.RopeSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamilies;
import dev.gptq.models.gguf.GgufFamily;
import dev.gptq.models.gguf.GgufPlace;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What a GGUF file says of a model's architecture. */
final class GgufModel {
  private static final String LLAMA = "llama";

  private final Model model;
  private final ModelConfig config;
  private final GgufFamily family;

  private GgufModel(Model model, ModelConfig config, GgufFamily family) {
    this.model = model;
    this.config = config;
    this.family = family;
  }

  /**
   * Of a model; throws if its architecture, or something that its configuration asks for, has no
   * place.
   */
  static GgufModel of(Model model) {
    ModelConfig config = model.config().text();
    GgufFamily family =
        GgufFamilies.find(config.modelType())
            .orElseThrow(() ->
                new BadInputException(
                    "%s: models of the type %s cannot be written as GGUF; these can: %s"
                        .formatted(config.file(), config.modelType(), GgufFamilies.modelTypes())));
    GgufModel result = new GgufModel(model, config, family);
    result.check();
    return result;
  }

  private void check() {
    for (GgufFamily.Fixed fixed : family.fixed()) {
      JsonNode wanted = JsonMapper.shared().valueToTree(fixed.value());
      JsonNode found =
          config.find(fixed.name()).orElse(JsonMapper.shared().valueToTree(fixed.absent()));
      if (!found.equals(wanted)) {
        throw refused("%s is %s and not %s".formatted(fixed.name(), found, wanted));
      }
    }
    int blocks = model.spec().blocks().size();
    for (int layer = 0; layer < blocks; layer++) {
      boolean windowed = family.windows() > 0 && (layer + 1) % family.windows() != 0;
      int window = windowed ? config.intValue("sliding_window", 0) : 0;
      for (Step step : model.spec().blocks().get(layer).steps()) {
        if (step instanceof Step.Attention attention) {
          checkWindow(attention.spec().window(), window);
        }
      }
      boolean rotated = !ropes(layer).isEmpty();
      if (rotated == (family.unrotated() > 0 && (layer + 1) % family.unrotated() == 0)) {
        throw refused(
            "positions of layer %d are %srotated".formatted(layer, rotated ? "" : "not "));
      }
    }
    RopeSpec rope = rope();
    if (rope.factor() != 1 || rope.beyond().isPresent()) {
      throw refused("rotary positions are of the type " + config.rope().type());
    }
    if (family.pairsNeighbours() && rotated() != config.headDim()) {
      throw refused("heads are rotated in part");
    }
    if (stretches().isPresent() && !family.architecture().equals(LLAMA)) {
      throw refused("rotary positions are of the type " + config.rope().type());
    }
    checkScores(blocks);
  }

  /** A window as long as the context is none. */
  private void checkWindow(int found, int wanted) {
    int context = model.spec().context();
    boolean same =
        found == wanted || ((found == 0 || found >= context) && (wanted == 0 || wanted >= context));
    if (!same) {
      throw refused(
          found == 0
              ? "layers see all of a text where others have a window"
              : "layers see a window of " + found + " tokens only");
    }
  }

  /** Gemma's scores are scaled by the size of a head, but for the two widest models. */
  private void checkScores(int blocks) {
    if (family.windows() > 0 && config.has("query_pre_attn_scalar")) {
      int scalar = (int) config.doubleValue("query_pre_attn_scalar");
      boolean wide = GgufFamilies.hasWideQueries(blocks);
      int taken =
          wide
              ? config.size("hidden_size") / config.heads("num_attention_heads")
              : config.headDim();
      if (scalar != taken) {
        throw refused("query_pre_attn_scalar is %d and not %d".formatted(scalar, taken));
      }
    }
  }

  private BadInputException refused(String what) {
    return new BadInputException(
        "%s: %s, which the GGUF architecture %s has no place for"
            .formatted(config.file(), what, family.architecture()));
  }

  private ImmutableList<RopeSpec> ropes(int layer) {
    return model.spec().blocks().get(layer).steps().stream()
        .filter(Step.Rope.class::isInstance)
        .map(step -> ((Step.Rope) step).rope())
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  /** The rotary positions of layers that see everything. */
  private RopeSpec rope() {
    List<RopeSpec> all =
        IntStream.range(0, model.spec().blocks().size())
            .filter(layer -> family.localRope() == 0 || (layer + 1) % family.localRope() == 0)
            .boxed()
            .flatMap(layer -> ropes(layer).stream())
            .distinct()
            .toList();
    if (all.size() != 1) {
      throw refused("layers have different rotary positions");
    }
    return all.getFirst();
  }

  private int rotated() {
    return 2 * rope().frequencies().length();
  }

  private double theta() {
    return family.localRope() > 0 ? config.rope("full_attention").theta() : config.rope().theta();
  }

  /** Its name in the file. */
  String architecture() {
    return family.architecture();
  }

  /** The place of a tensor, if it has one. */
  Optional<GgufPlace> place(String tensor) {
    return GgufPlace.find(family, tensor);
  }

  /** Channels of a head. */
  int headDim() {
    return config.headDim();
  }

  /** Whether the two channels that turn together lie side by side. */
  boolean pairsNeighbours() {
    return family.pairsNeighbours();
  }

  /** Whether the file has an output layer although the model has none of its own. */
  boolean repeatsEmbedding() {
    return family.ownHead()
        && model.spec().head().matrix().equals(model.spec().embedding().table());
  }

  /** What is added to the gains of norms. */
  float normShift() {
    return family.normsPlusOne() ? 1 : 0;
  }

  /** By what each frequency is divided, unless all are by one. */
  Optional<float[]> stretches() {
    ImmutableDoubleArray frequencies = rope().frequencies();
    float[] stretches = new float[frequencies.length()];
    boolean plain = true;
    for (int c = 0; c < stretches.length; c++) {
      double usual = Math.pow(theta(), -2.0 * c / rotated());
      stretches[c] = (float) (usual / frequencies.get(c));
      plain &= Math.abs(stretches[c] - 1) < 1e-6f;
    }
    return plain ? Optional.empty() : Optional.of(stretches);
  }

  /** Adds the entries that begin with the name of the architecture. */
  void describe(GgufMetadata metadata) {
    String a = family.architecture() + ".";
    for (GgufFamily.Setting setting : family.settings()) {
      if (setting.whole()) {
        metadata.put(a + setting.key(), whole(setting.name()));
      } else {
        real(setting).ifPresent(value -> metadata.put(a + setting.key(), (float) value));
      }
    }
    metadata.put(a + "attention.key_length", config.headDim());
    metadata.put(a + "attention.value_length", config.headDim());
    metadata.put(a + "rope.freq_base", (float) theta());
    metadata.put(a + "rope.dimension_count", rotated());
    metadata.put(a + "vocab_size", model.spec().vocabulary());
    if (family.windows() > 0) {
      metadata.put(a + "attention.sliding_window", config.intValue("sliding_window"));
    }
    if (family.localRope() > 0) {
      metadata.put(a + "rope.freq_base_swa", (float) localTheta());
    }
  }

  private double localTheta() {
    return config
            .section("rope_parameters")
            .flatMap(all -> all.section("sliding_attention"))
            .isPresent()
        ? config.rope("sliding_attention").theta()
        : config.doubleValue("rope_local_base_freq", 1e4);
  }

  private int whole(String name) {
    return switch (name) {
      case "num_hidden_layers" -> model.spec().blocks().size();
      case "max_position_embeddings" -> model.spec().context();
      case "num_key_value_heads" -> config.heads(name, config.heads("num_attention_heads"));
      case "num_experts" -> config.anyInt(name, "num_local_experts");
      case "original_max_position_embeddings" -> config.intValue(name, model.spec().context());
      default -> config.intValue(name);
    };
  }

  private OptionalDouble real(GgufFamily.Setting setting) {
    OptionalDouble value = config.optionalDouble(setting.name());
    return value.isPresent() ? value : setting.fallback();
  }
}
