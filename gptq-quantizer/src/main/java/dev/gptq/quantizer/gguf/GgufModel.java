package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Streams;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.packed.Elements;
import dev.gptq.models.Model;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.gguf.GgufFamilies;
import dev.gptq.models.gguf.GgufFamily;
import dev.gptq.models.gguf.GgufOrder;
import dev.gptq.models.gguf.GgufPlace;
import dev.gptq.models.gguf.IndexerTensors;
import dev.gptq.models.gguf.LatentHalves;
import dev.gptq.models.gguf.Multipliers;
import dev.gptq.models.gguf.StateShape;
import java.util.Optional;
import java.util.OptionalDouble;

/** What a GGUF file says of a model's architecture. */
final class GgufModel {
  private static final String KEY_HEADS = "attention.head_count_kv";
  private static final String UP = "ffn_up";
  private static final String INNER = "feed_forward_length";

  private final Model model;
  private final ModelConfig config;
  private final GgufFamily family;
  private final ImmutableMap<String, String> names;
  private final ImmutableList<String> carried;
  private final GgufOrder order;
  private final Subject subject;
  private final BlockKinds kinds;
  private final RotaryPositions rotary;
  private final Multipliers multipliers;

  private GgufModel(Model model, ModelConfig config, GgufFamily family) {
    this.model = model;
    this.config = config;
    this.family = family;
    this.order = GgufOrder.of(family, model.spec(), config.headDim());
    this.subject = new Subject(model.spec(), config, family);
    this.kinds = new BlockKinds(model.spec(), family);
    this.rotary = new RotaryPositions(subject);
    this.multipliers = Multipliers.of(config, model.spec());
    // A checkpoint of a bare decoder has other names than that of a language model.
    ImmutableMap.Builder<String, String> usual = ImmutableMap.builder();
    Streams.forEachPair(
        Parameters.of(model.spec()).tensors().keySet().stream(),
        Parameters.of(Families.describe(config)).tensors().keySet().stream(),
        usual::put);
    ImmutableList.Builder<String> carried = ImmutableList.builder();
    Streams.forEachPair(
        model.spec().blocks().stream(),
        Families.describe(config).blocks().stream(),
        (block, named) -> {
          if (hasIndexer(block)) {
            for (String name : IndexerTensors.of(family)) {
              carried.add(block.prefix() + name);
              usual.put(block.prefix() + name, named.prefix() + name);
            }
          }
        });
    this.carried = carried.build();
    this.names = usual.buildOrThrow();
  }

  /** Whether a block has an indexer, and does not take what that of an earlier one chose. */
  private boolean hasIndexer(BlockSpec block) {
    return IndexerTensors.of(family).stream()
        .map(name -> block.prefix() + name)
        .anyMatch(name -> model.checkpoint().find(name).isPresent());
  }

  /**
   * Of a model; throws if its architecture, or something that its configuration asks for, has no
   * place.
   */
  static GgufModel of(Model model) {
    ModelConfig config = model.config().text();
    ImmutableList<GgufFamily> kinds =
        GgufFamilies.find(config.modelType(), model.spec().blocks().size());
    if (kinds.isEmpty()) {
      throw new BadInputException(
          "%s: models of the type %s cannot be written as GGUF%s; these can: %s"
              .formatted(
                  config.file(),
                  config.modelType(),
                  GgufFamilies.reason(config.modelType())
                      .map(reason -> " (" + reason + ")")
                      .orElse(""),
                  GgufFamilies.modelTypes()));
    }
    ImmutableList<GgufFamily> suitable =
        kinds.stream()
            .filter(kind -> new BlockKinds(model.spec(), kind).suits())
            .collect(ImmutableList.toImmutableList());
    ImmutableList<GgufFamily> candidates = suitable.isEmpty() ? kinds : suitable;
    GgufFamily family =
        candidates.stream()
            .filter(kind ->
                kind.fixed().stream().allMatch(fixed -> Limits.wrong(config, fixed).isEmpty()))
            .findFirst()
            .orElse(candidates.getLast());
    GgufModel result = new GgufModel(model, config, family);
    new Limits(result.subject, result.kinds, result.rotary).check();
    return result;
  }

  /** Its name in the file. */
  String architecture() {
    return family.architecture();
  }

  /** The place of a tensor, if it has one. */
  Optional<GgufPlace> place(String tensor) {
    return Optional.ofNullable(names.get(tensor)).flatMap(name -> GgufPlace.find(family, name));
  }

  /** The tensors that are copied although they are not described. */
  ImmutableList<String> carried() {
    return carried;
  }

  /** How matrices stand in the file. */
  GgufOrder order() {
    return order;
  }

  /** By what rows of matrices are multiplied. */
  Multipliers multipliers() {
    return multipliers;
  }

  /** The shape in the file of a vector of so many numbers, by its name below a block. */
  ImmutableList<Long> vector(String stem, long size) {
    return kinds
        .state()
        .map(state -> state.inFile(stem, size))
        .orElseGet(() -> ImmutableList.of(size));
  }

  /** Whether the file has an output layer although the model has none of its own. */
  boolean repeatsEmbedding() {
    return family.has(GgufFamily.Trait.OWN_HEAD)
        && model.spec().head().matrix().equals(model.spec().embedding().table());
  }

  /** What is added to the gains of norms. */
  float normShift() {
    return family.has(GgufFamily.Trait.NORMS_PLUS_ONE) ? 1 : 0;
  }

  /** By what each frequency is divided, under the names of tensors; none if all are by one. */
  ImmutableMap<String, float[]> divisors() {
    return family.has(GgufFamily.Trait.TWO_HEAD_SIZES)
        ? ImmutableMap.of("rope_freqs.weight", gemma().divisors())
        : rotary.divisors();
  }

  private GemmaLayers gemma() {
    return new GemmaLayers(model.spec(), config);
  }

  private ListedWindows windows() {
    return ListedWindows.of(model.spec());
  }

  /** Adds the entries that begin with the name of the architecture. */
  void describe(GgufMetadata metadata) {
    String a = family.architecture() + ".";
    for (GgufFamily.Setting setting : family.settings()) {
      String key = a + setting.key();
      if (family.has(GgufFamily.Trait.TWO_HEAD_SIZES)
          && (setting.key().equals(KEY_HEADS) || setting.key().equals(INNER))) {
        continue;
      }
      if (setting.key().equals(KEY_HEADS) && family.has(GgufFamily.Trait.MIXED_BLOCKS)) {
        metadata.putInts(key, kinds.keyHeads());
        continue;
      }
      if (setting.key().equals(INNER) && family.has(GgufFamily.Trait.SINGLE_PURPOSE)) {
        metadata.putInts(key, kinds.inner());
        continue;
      }
      switch (setting.kind()) {
        case WHOLE -> metadata.put(key, whole(setting));
        case REAL -> real(setting).ifPresent(value -> metadata.put(key, value.floatValue()));
        case TRUTH -> truth(setting).ifPresent(value -> metadata.put(key, value.booleanValue()));
        case PRODUCT -> product(setting).ifPresent(value -> metadata.put(key, value.intValue()));
        case NUMBERS -> metadata.putFloats(setting.key(), numbers(setting));
      }
    }
    family.constants().forEach((key, value) -> metadata.put(a + key, value.intValue()));
    if (family.has(GgufFamily.Trait.TWO_HEAD_SIZES)) {
      gemma().describe(metadata, a);
      metadata.put(a + "vocab_size", model.spec().vocabulary());
      return;
    }
    if (family.has(GgufFamily.Trait.LATENT)) {
      describeLatent(metadata, a);
    } else if (family.has(GgufFamily.Trait.WHOLE_LATENT)) {
      int key = config.intValue("qk_nope_head_dim") + config.intValue("qk_rope_head_dim");
      int value = model.spec().hidden() / config.heads("num_attention_heads");
      metadata.put(a + "attention.key_length", key);
      metadata.put(a + "attention.value_length", config.intValue("v_head_dim", value));
    } else {
      metadata.put(a + "attention.key_length", config.headDim());
      metadata.put(a + "attention.value_length", config.headDim());
    }
    rotary.describe(metadata, a);
    if (family.has(GgufFamily.Trait.INDEXED)) {
      metadata.putTruths(
          a + IndexerTensors.TYPES,
          model.spec().blocks().stream()
              .map(this::hasIndexer)
              .collect(ImmutableList.toImmutableList()));
    }
    if (family.has(GgufFamily.Trait.TEMPERED)) {
      Temperature.of(model.spec()).ifPresent(temper -> Temperature.describe(temper, metadata, a));
    }
    metadata.put(a + "vocab_size", model.spec().vocabulary());
    if (family.has(GgufFamily.Trait.LISTED_WINDOWS)) {
      metadata.put(a + "attention.sliding_window", windows().size(model.spec().context()));
      metadata.putTruths(a + "attention.sliding_window_pattern", windows().sliding());
    } else if (family.periods().windows() > 0) {
      metadata.put(a + "attention.sliding_window", config.intValue("sliding_window"));
    }
  }

  /** llama.cpp sees one head of keys and values, the latent. */
  private void describeLatent(GgufMetadata metadata, String a) {
    int latent = config.intValue("kv_lora_rank");
    int rotated = config.intValue("qk_rope_head_dim");
    config
        .optionalInt("q_lora_rank")
        .ifPresent(rank -> metadata.put(a + "attention.q_lora_rank", rank));
    metadata.put(a + "attention.key_length", latent + rotated);
    metadata.put(a + "attention.value_length", latent);
    metadata.put(a + "attention.key_length_mla", config.intValue("qk_nope_head_dim") + rotated);
    metadata.put(a + "attention.value_length_mla", config.intValue("v_head_dim"));
  }

  /** How keys and values are made from a latent, if they are. */
  Optional<LatentHalves> latent(String tensor) {
    return family.has(GgufFamily.Trait.LATENT) && tensor.endsWith(LatentHalves.MODULE + ".weight")
        ? Optional.of(
            new LatentHalves(
                config.heads("num_attention_heads"),
                config.intValue("qk_nope_head_dim"),
                config.intValue("v_head_dim")))
        : Optional.empty();
  }

  private int whole(GgufFamily.Setting setting) {
    String name = setting.name();
    return switch (setting.key()) {
      case "block_count" -> model.spec().blocks().size();
      case "context_length" -> context();
      case "attention.head_count" -> subject.attention().spec().heads();
      case KEY_HEADS ->
          family.has(GgufFamily.Trait.LATENT) ? 1 : subject.attention().spec().keyValueHeads();
      case Limits.LEADING_DENSE -> subject.leadingDense();
      case "full_attention_interval" -> kinds.interval().orElseThrow();
      case INNER -> inner(setting);
      case GgufFamily.DEEP -> deepLayers();
      case "expert_count" -> config.anyInt(with(setting.names(), "num_local_experts"));
      case "rope.scaling.original_context_length" ->
          rotary.saidRope().originalMaxPosition().orElse(model.spec().context());
      default ->
          setting.fallback().isPresent() && !config.has(name)
              ? (Integer) setting.fallback().get()
              : config.anyInt(setting.names().toArray(String[]::new));
    };
  }

  /** With an indexer it is longer than what is taken here. */
  private int context() {
    int taken = model.spec().context();
    return family.has(GgufFamily.Trait.INDEXED)
        ? config.context("max_position_embeddings", taken)
        : taken;
  }

  /** Of the part that sees, or of a file that has only the other. */
  private int deepLayers() {
    return model
        .config()
        .section("vision_config")
        .map(vision -> vision.intList("deepstack_visual_indexes").size())
        .orElseGet(() -> config.intValue(GgufFamily.DEEP, 0));
  }

  private static String[] with(ImmutableList<String> names, String more) {
    return ImmutableList.<String>builder().addAll(names).add(more).build().toArray(String[]::new);
  }

  /** Whether a tensor is a number of a block that the file lists. */
  boolean isNumber(String tensor) {
    return Optional.ofNullable(names.get(tensor)).stream()
        .anyMatch(name ->
            family.numbers().stream().anyMatch(setting -> name.endsWith("." + setting.name())));
  }

  private ImmutableList<Float> numbers(GgufFamily.Setting setting) {
    return model.spec().blocks().stream()
        .map(block -> block.prefix() + setting.name())
        .map(tensor ->
            setting
                .fallback()
                .filter(_ -> model.checkpoint().find(tensor).isEmpty())
                .map(value -> ((Double) value).floatValue())
                .orElseGet(() -> Elements.get(model.checkpoint().require(tensor), 0)))
        .collect(ImmutableList.toImmutableList());
  }

  /** A product of which no factor is absent or zero. */
  private Optional<Integer> product(GgufFamily.Setting setting) {
    if (setting.key().equals("ssm.inner_size")) {
      return kinds.state().map(StateShape::inner);
    }
    int product =
        setting.names().stream()
            .mapToInt(name -> config.intValue(name, 0))
            .reduce(1, Math::multiplyExact);
    return Optional.of(product).filter(value -> value > 0);
  }

  /** Older models have a feed-forward layer four times as wide as the model. */
  private int inner(GgufFamily.Setting setting) {
    for (BlockSpec block : model.spec().blocks()) {
      for (LinearSpec linear : block.linears().toList()) {
        Optional<GgufOrder.Cut> cut = order.cut(block.nameOf(linear));
        boolean mixed = family.has(GgufFamily.Trait.MIXED_BLOCKS);
        if (mixed && UP.equals(family.modules().get(linear.module()))) {
          return linear.outputs();
        }
        if (cut.filter(c -> c.stem().equals(UP)).isPresent()) {
          return linear.outputs() - cut.get().first();
        }
      }
    }
    return setting.names().stream()
        .filter(config::has)
        .findFirst()
        .map(config::intValue)
        .orElseGet(() -> 4 * model.spec().hidden());
  }

  private Optional<Double> real(GgufFamily.Setting setting) {
    for (String name : setting.names()) {
      OptionalDouble value = config.optionalDouble(name);
      if (value.isPresent()) {
        return Optional.of(value.getAsDouble());
      }
    }
    return setting.fallback().map(Double.class::cast);
  }

  private Optional<Boolean> truth(GgufFamily.Setting setting) {
    return config.has(setting.name())
        ? Optional.of(config.booleanValue(setting.name(), false))
        : setting.fallback().map(Boolean.class::cast);
  }
}
