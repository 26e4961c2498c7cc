package dev.gptq.models.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufFile;
import dev.gptq.formats.gguf.GgufStored;
import dev.gptq.formats.gguf.GgufValues;
import dev.gptq.formats.json.JsonConfig;
import dev.gptq.formats.packed.Elements;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Ropes;
import java.util.Optional;
import java.util.stream.IntStream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** The {@code config.json} that the entries and tensors of a GGUF file stand for. */
final class GgufConfig {
  private static final String KEY_HEADS = "attention.head_count_kv";
  private static final String STRETCHES = "rope_freqs.weight";
  private static final String ROTARY = "rope_parameters";

  private final GgufFile file;
  private final GgufValues values;
  private final GgufFamily family;
  private final ObjectNode json = JsonMapper.shared().createObjectNode();

  private GgufConfig(GgufFile file, GgufFamily family) {
    this.file = file;
    this.values = file.values();
    this.family = family;
  }

  /** Throws {@link BadInputException} where an entry says what the family cannot do. */
  static ObjectNode of(GgufFile file, GgufFamily family) {
    return new GgufConfig(file, family).build();
  }

  private ObjectNode build() {
    json.putArray("architectures").add(family.modelClass());
    json.put("model_type", family.modelType());
    for (GgufFamily.Setting setting : family.settings()) {
      if (isOfEachBlock(setting.key())) {
        continue;
      }
      if (family.has(GgufFamily.Trait.TWO_HEAD_SIZES)
          && (setting.key().equals(KEY_HEADS) || setting.key().equals("feed_forward_length"))) {
        continue;
      }
      switch (setting.kind()) {
        case WHOLE -> whole(setting.key()).ifPresent(value -> json.put(setting.name(), value));
        case REAL -> real(setting.key()).ifPresent(value -> json.put(setting.name(), value));
        case TRUTH -> truth(setting.key()).ifPresent(value -> json.put(setting.name(), value));
        case PRODUCT -> product(setting);
        case NUMBERS -> {}
      }
    }
    for (GgufFamily.Fixed fixed : family.fixed()) {
      json.set(fixed.name(), JsonMapper.shared().valueToTree(fixed.values().getFirst()));
    }
    // Blocks that predict further tokens stand behind the others and are counted.
    whole("nextn_predict_layers")
        .filter(more -> more > 0)
        .ifPresent(more -> json.put("num_hidden_layers", required("block_count") - more));
    for (GgufFamily.Switch one : family.switches()) {
      boolean there = file.tensors().containsKey(GgufFamily.BLOCKS + "0." + one.tensor());
      json.put(one.name(), there == one.there());
    }
    json.put("vocab_size", require("token_embd.weight").shape().getFirst());
    json.put("tie_word_embeddings", !file.tensors().containsKey("output.weight"));
    HybridConfig.complete(values, family, json);
    if (isLatent()) {
      latent();
    } else if (family.has(GgufFamily.Trait.STATED_HEADS)) {
      json.put("head_dim", headDim());
    } else {
      whole("attention.key_length").ifPresent(size -> json.put("head_dim", size));
    }
    if (family.has(GgufFamily.Trait.CHUNKED)) {
      json.put("use_qk_norm", required("expert_count") != GgufFamilies.PLAIN_HEADS);
    }
    special("bos_token_id");
    special("eos_token_id");
    special("pad_token_id");
    if (family.has(GgufFamily.Trait.TWO_HEAD_SIZES)) {
      GemmaConfig.add(file, json);
      return json;
    }
    windows();
    rotary();
    if (family.has(GgufFamily.Trait.INDEXED)) {
      indexers();
    }
    return json;
  }

  /** Which blocks have one of their own, where not all have. */
  private void indexers() {
    ImmutableList<Boolean> own =
        IntStream.range(0, json.path("num_hidden_layers").asInt())
            .mapToObj(layer -> GgufFamily.BLOCKS + layer + "." + IndexerTensors.KEYS)
            .map(file.tensors()::containsKey)
            .collect(ImmutableList.toImmutableList());
    if (own.contains(false)) {
      ArrayNode types = json.putArray("indexer_types");
      own.forEach(full -> types.add(full ? "full" : "shared"));
    }
  }

  /** Whether blocks differ in what an entry says. */
  private boolean isOfEachBlock(String key) {
    return (family.has(GgufFamily.Trait.MIXED_BLOCKS) && key.equals(KEY_HEADS))
        || (family.has(GgufFamily.Trait.SINGLE_PURPOSE) && key.equals("feed_forward_length"));
  }

  /** The first factor of a product whose others are known. */
  private void product(GgufFamily.Setting setting) {
    int others =
        setting.names().stream()
            .skip(1)
            .mapToInt(name -> json.path(name).asInt(0))
            .reduce(1, Math::multiplyExact);
    whole(setting.key())
        .filter(_ -> others > 0)
        .ifPresent(value -> json.put(setting.name(), value / others));
  }

  private boolean isLatent() {
    return family.has(GgufFamily.Trait.LATENT) || family.has(GgufFamily.Trait.WHOLE_LATENT);
  }

  /** Files say as the size of a key that of the latent, but older ones that of a head. */
  private void latent() {
    int rotated = required("rope.dimension_count");
    int key = whole("attention.key_length_mla").orElseGet(() -> required("attention.key_length"));
    int value =
        whole("attention.value_length_mla")
            .or(() -> whole("attention.value_length"))
            .orElseGet(() -> required("embedding_length") / required("attention.head_count"));
    json.put("num_key_value_heads", required("attention.head_count"));
    json.put("head_dim", rotated);
    json.put("qk_rope_head_dim", rotated);
    json.put("qk_nope_head_dim", key - rotated);
    json.put("v_head_dim", value);
    whole("attention.q_lora_rank").ifPresent(rank -> json.put("q_lora_rank", rank));
  }

  private void special(String name) {
    String key = name.equals("pad_token_id") ? "padding_token_id" : name;
    values.integer("tokenizer.ggml." + key).ifPresent(id -> json.put(name, id));
  }

  private GgufStored require(String name) {
    GgufStored tensor = file.tensors().get(name);
    if (tensor == null) {
      throw new BadInputException(
          "%s has no tensor '%s'; is the file a whole model?".formatted(file.file(), name));
    }
    return tensor;
  }

  /** A number of all layers; a list of one must have the same for each. */
  private Optional<Integer> whole(String name) {
    String key = family.architecture() + "." + name;
    if (!values.isList(key)) {
      return values.integer(key);
    }
    ImmutableList<Number> list = values.numbers(key).orElseThrow();
    if (list.stream().distinct().count() != 1) {
      throw new BadInputException(
          "%s: '%s' differs from layer to layer, which cannot be read".formatted(file.file(), key));
    }
    return Optional.of(list.getFirst().intValue());
  }

  /** The shortest decimal that is the same float32, as configurations have it. */
  private Optional<Double> real(String name) {
    return values
        .number(family.architecture() + "." + name)
        .map(number -> Double.parseDouble(Float.toString(number.floatValue())));
  }

  private Optional<Boolean> truth(String name) {
    return values.truth(family.architecture() + "." + name);
  }

  private int required(String name) {
    return whole(name)
        .orElseThrow(() ->
            new BadInputException(
                "%s: '%s.%s' is missing".formatted(file.file(), family.architecture(), name)));
  }

  private void windows() {
    Optional<Integer> window = whole("attention.sliding_window").filter(size -> size > 0);
    if (family.periods().windows() == 0) {
      if (family.modelType().equals("phi3")) {
        window.ifPresent(size -> json.put("sliding_window", size));
      }
      return;
    }
    int layers = required("block_count");
    json.put("sliding_window", window.orElse(4096));
    if (family.has(GgufFamily.Trait.QUERY_SCALAR)) {
      int width =
          GgufFamilies.hasWideQueries(layers)
              ? required("embedding_length") / required("attention.head_count")
              : required("attention.key_length");
      json.put("query_pre_attn_scalar", width);
    }
    ImmutableList<Boolean> windowed = windowed(layers);
    ArrayNode types = json.putArray("layer_types");
    for (int layer = 0; layer < layers; layer++) {
      types.add(windowed.get(layer) ? "sliding_attention" : "full_attention");
    }
  }

  /** Which layers have a window: a list says it, or a period, or the architecture. */
  private ImmutableList<Boolean> windowed(int layers) {
    String name = "attention.sliding_window_pattern";
    String key = family.architecture() + "." + name;
    if (!values.isList(key)) {
      int period = whole(name).orElse(family.periods().windows());
      return IntStream.range(0, layers)
          .mapToObj(layer -> (layer + 1) % period != 0)
          .collect(ImmutableList.toImmutableList());
    }
    ImmutableList<Boolean> list = values.truths(key).orElseThrow();
    if (list.size() != layers) {
      throw new BadInputException(
          "%s: '%s' has %d values for %d blocks; download the file again"
              .formatted(file.file(), key, list.size(), layers));
    }
    return list;
  }

  private void rotary() {
    if (family.periods().unrotated() == 1) {
      return;
    }
    ObjectNode rope = JsonMapper.shared().createObjectNode();
    double theta = real("rope.freq_base").orElse(10_000.0);
    rope.put("rope_theta", theta);
    int rotated = whole("rope.dimension_count").orElseGet(this::headDim);
    int head = isLatent() ? rotated : headDim();
    if (rotated != head || family.has(GgufFamily.Trait.PARTLY_ROTATED)) {
      rope.put("partial_rotary_factor", (double) rotated / head);
    }
    scaling(rope);
    if (family.has(GgufFamily.Trait.SECTIONED)) {
      sections(rope);
    }
    if (family.has(GgufFamily.Trait.TEMPERED)) {
      real("attention.temperature_scale")
          .filter(scale -> scale != 0)
          .ifPresent(scale -> rope.put("llama_4_scaling_beta", scale));
    }
    Optional<Double> local = real("rope.freq_base_swa");
    if (family.periods().localRope() > 0) {
      ObjectNode both = json.putObject(ROTARY);
      both.set("full_attention", rope);
      both.putObject("sliding_attention")
          .put("rope_type", "default")
          .put(
              "rope_theta", local.orElse(family.has(GgufFamily.Trait.ONE_BASE) ? theta : 10_000.0));
    } else {
      json.set(ROTARY, rope);
    }
  }

  /** Frequencies of each part of a position; files have four parts, of which the last is unused. */
  private void sections(ObjectNode rope) {
    values
        .numbers(family.architecture() + ".rope.dimension_sections")
        .ifPresent(parts -> {
          ArrayNode sections = rope.putArray("mrope_section");
          parts.stream().limit(3).forEach(part -> sections.add(part.intValue()));
        });
  }

  private int headDim() {
    return whole("attention.key_length")
        .orElseGet(() -> required("embedding_length") / required("attention.head_count"));
  }

  private void scaling(ObjectNode rope) {
    String type = values.text(family.architecture() + ".rope.scaling.type").orElse("none");
    Optional<Integer> original = whole("rope.scaling.original_context_length");
    if (file.tensors().containsKey(STRETCHES)) {
      stretched(rope, floats(STRETCHES));
    } else if (file.tensors().containsKey("rope_factors_short.weight")) {
      rope.put("rope_type", "longrope");
      list(rope, "short_factor", floats("rope_factors_short.weight"));
      list(rope, "long_factor", floats("rope_factors_long.weight"));
      original.ifPresent(size -> rope.put("original_max_position_embeddings", size));
      real("rope.scaling.attn_factor").ifPresent(f -> rope.put("attention_factor", f));
    } else if (type.equals("linear") || type.equals("yarn")) {
      rope.put("rope_type", type);
      rope.put("factor", real("rope.scaling.factor").orElse(1.0));
      original.ifPresent(size -> rope.put("original_max_position_embeddings", size));
      yarn(rope);
    } else if (type.equals("none") || type.equals("longrope")) {
      rope.put("rope_type", "default");
    } else {
      throw new BadInputException(
          "%s: rotary positions of the type %s cannot be read; none, linear, yarn and longrope can"
              .formatted(file.file(), type));
    }
  }

  private void yarn(ObjectNode rope) {
    real("rope.scaling.yarn_beta_fast").ifPresent(beta -> rope.put("beta_fast", beta));
    real("rope.scaling.yarn_beta_slow").ifPresent(beta -> rope.put("beta_slow", beta));
    if (family.has(GgufFamily.Trait.FRACTIONAL_YARN)) {
      rope.put("truncate", false);
    }
    boolean latent = family.has(GgufFamily.Trait.LATENT);
    Optional<Double> multiplier =
        real("rope.scaling.yarn_log_multiplier").filter(value -> value != 0);
    if (latent || (family.has(GgufFamily.Trait.TEMPERED) && multiplier.isPresent())) {
      float rounded = (float) (multiplier.orElse(0.0) * (latent ? 10 : 1));
      rope.put("mscale", Double.parseDouble(Float.toString(rounded == 0 ? 1 : rounded)));
      rope.put("mscale_all_dim", Double.parseDouble(Float.toString(rounded)));
    }
  }

  /**
   * Factors of each frequency: Llama 3's, where its usual bounds and an original context that is a
   * power of two give them, else whatever they are.
   */
  private void stretched(ObjectNode rope, float[] factors) {
    double most = 1;
    for (float factor : factors) {
      most = Math.max(most, factor);
    }
    ObjectNode usual = rope.deepCopy();
    for (int context = 16; context < 1 << 20; context *= 2) {
      rope.put("rope_type", "llama3");
      rope.put("factor", most);
      rope.put("low_freq_factor", 1);
      rope.put("high_freq_factor", 4);
      rope.put("original_max_position_embeddings", context);
      if (agree(frequencies(usual), frequencies(rope), factors)) {
        return;
      }
    }
    rope.removeAll();
    rope.setAll(usual);
    rope.put("rope_type", "longrope");
    list(rope, "short_factor", factors);
    list(rope, "long_factor", factors);
    rope.put("attention_factor", 1);
    rope.put("original_max_position_embeddings", required("context_length"));
  }

  private ImmutableDoubleArray frequencies(ObjectNode rope) {
    ObjectNode one = JsonMapper.shared().createObjectNode();
    one.set(ROTARY, rope);
    return Ropes.of(ModelConfig.of(JsonConfig.of(file.file(), one)), headDim()).frequencies();
  }

  private static boolean agree(
      ImmutableDoubleArray usual, ImmutableDoubleArray scaled, float[] factors) {
    return usual.length() == factors.length
        && IntStream.range(0, factors.length)
            .allMatch(i -> Math.abs(usual.get(i) / scaled.get(i) / factors[i] - 1) < 1e-5);
  }

  private static void list(ObjectNode rope, String name, float[] values) {
    ArrayNode list = rope.putArray(name);
    for (float value : values) {
      list.add(Double.parseDouble(Float.toString(value)));
    }
  }

  private float[] floats(String name) {
    StoredTensor stored = require(name).decoded(name);
    float[] floats = new float[Math.toIntExact(stored.elements())];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = Elements.get(stored, i);
    }
    return floats;
  }
}
