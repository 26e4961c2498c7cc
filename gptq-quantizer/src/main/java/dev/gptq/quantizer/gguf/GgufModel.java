package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.Streams;
import com.google.common.primitives.Floats;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.formats.packed.Elements;
import dev.gptq.models.Model;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.config.RopeParameters;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.Families;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import dev.gptq.models.family.RopeSpec;
import dev.gptq.models.family.Ropes;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamilies;
import dev.gptq.models.gguf.GgufFamily;
import dev.gptq.models.gguf.GgufOrder;
import dev.gptq.models.gguf.GgufPlace;
import dev.gptq.models.gguf.LatentHalves;
import dev.gptq.models.gguf.Multipliers;
import dev.gptq.models.gguf.StateShape;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What a GGUF file says of a model's architecture. */
final class GgufModel {
  private static final String KEY_HEADS = "attention.head_count_kv";
  private static final String LEADING_DENSE = "leading_dense_block_count";
  private static final String UP = "ffn_up";
  private static final String INNER = "feed_forward_length";

  /** Blocks of the models whose queries have no latent. */
  private static final ImmutableList<Integer> LITE = ImmutableList.of(26, 27);

  private final Model model;
  private final ModelConfig config;
  private final GgufFamily family;
  private final ImmutableMap<String, String> names;
  private final GgufOrder order;
  private final BlockKinds kinds;
  private final Multipliers multipliers;

  private GgufModel(Model model, ModelConfig config, GgufFamily family) {
    this.model = model;
    this.config = config;
    this.family = family;
    this.order = GgufOrder.of(family, model.spec(), config.headDim());
    this.kinds = new BlockKinds(model.spec(), family);
    this.multipliers = Multipliers.of(config, model.spec());
    // A checkpoint of a bare decoder has other names than that of a language model.
    ImmutableMap.Builder<String, String> usual = ImmutableMap.builder();
    Streams.forEachPair(
        Parameters.of(model.spec()).tensors().keySet().stream(),
        Parameters.of(Families.describe(config)).tensors().keySet().stream(),
        usual::put);
    this.names = usual.buildOrThrow();
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
          "%s: models of the type %s cannot be written as GGUF; these can: %s"
              .formatted(config.file(), config.modelType(), GgufFamilies.modelTypes()));
    }
    ImmutableList<GgufFamily> suitable =
        kinds.stream()
            .filter(kind -> new BlockKinds(model.spec(), kind).suits())
            .collect(ImmutableList.toImmutableList());
    ImmutableList<GgufFamily> candidates = suitable.isEmpty() ? kinds : suitable;
    GgufFamily family =
        candidates.stream()
            .filter(kind -> kind.fixed().stream().allMatch(fixed -> wrong(config, fixed).isEmpty()))
            .findFirst()
            .orElse(candidates.getLast());
    GgufModel result = new GgufModel(model, config, family);
    result.check();
    return result;
  }

  /** What a key has that it must not have. */
  private static Optional<String> wrong(ModelConfig config, GgufFamily.Fixed fixed) {
    JsonMapper json = JsonMapper.shared();
    JsonNode found = config.find(fixed.name()).orElse(json.valueToTree(fixed.absent()));
    ImmutableList<JsonNode> wanted =
        fixed.values().stream()
            .map(value -> json.<JsonNode>valueToTree(value))
            .collect(ImmutableList.toImmutableList());
    return wanted.contains(found)
        ? Optional.empty()
        : Optional.of(
            "%s is %s and not %s"
                .formatted(
                    fixed.name(),
                    found,
                    wanted.stream().map(JsonNode::toString).collect(Collectors.joining(" or "))));
  }

  private Step.Attention attention() {
    return model.spec().blocks().stream()
        .flatMap(block -> block.steps().stream())
        .filter(Step.Attention.class::isInstance)
        .map(Step.Attention.class::cast)
        .findFirst()
        .orElseThrow(() -> refused("no block has attention"));
  }

  private void check() {
    for (GgufFamily.Fixed fixed : family.fixed()) {
      wrong(config, fixed)
          .ifPresent(what -> {
            throw refused(what);
          });
    }
    if (family.has(GgufFamily.Trait.TWO_HEAD_SIZES)) {
      gemma()
          .refusal()
          .ifPresent(what -> {
            throw refused(what);
          });
      return;
    }
    int heads = attention().spec().heads();
    boolean whole = heads * config.headDim() == model.spec().hidden();
    if (family.has(GgufFamily.Trait.WHOLE_HEADS) && !whole) {
      throw refused("head_dim is %d with %d heads".formatted(config.headDim(), heads));
    }
    int keys = attention().spec().keyValueHeads();
    if (family.has(GgufFamily.Trait.SINGLE_KEYS) && heads != keys) {
      throw refused("%d heads of keys are for %d of queries".formatted(keys, heads));
    }
    boolean grows = family.has(GgufFamily.Trait.TEMPERED) || family.has(GgufFamily.Trait.CHUNKED);
    if (!grows && Temperature.of(model.spec()).isPresent()) {
      throw refused("queries grow with their positions");
    }
    if (family.has(GgufFamily.Trait.CHUNKED)) {
      ChunkedLayers.refusal(model.spec(), config)
          .ifPresent(what -> {
            throw refused(what);
          });
    }
    if (family.has(GgufFamily.Trait.LISTED_WINDOWS)) {
      windows()
          .refusal(family, model.spec())
          .ifPresent(what -> {
            throw refused(what);
          });
    } else {
      checkLayers();
    }
    if (isRotated()) {
      checkRope();
    }
    kinds
        .refusal()
        .ifPresent(what -> {
          throw refused(what);
        });
    // Without a norm behind it the order of norm and gate means nothing.
    if (config.booleanValue("mamba_rms_norm", false)
        && config.booleanValue("mamba_norm_before_gate", true)) {
      throw refused("mamba_norm_before_gate is true and not false");
    }
    if (!family.experts().isEmpty() && !family.has(GgufFamily.Trait.CHUNKED)) {
      checkExperts();
    }
    if (family.has(GgufFamily.Trait.LATENT)) {
      checkLatent();
    }
    if (family.has(GgufFamily.Trait.WHOLE_LATENT) && config.optionalInt("q_lora_rank").isEmpty()) {
      throw refused("q_lora_rank is absent");
    }
    if (family.has(GgufFamily.Trait.QUERY_SCALAR)) {
      checkScores(model.spec().blocks().size());
    }
  }

  private GemmaLayers gemma() {
    return new GemmaLayers(model.spec(), config);
  }

  private ListedWindows windows() {
    return ListedWindows.of(model.spec());
  }

  private void checkLayers() {
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
      if (BlockKinds.attends(model.spec().blocks().get(layer))
          && !family.has(GgufFamily.Trait.PERHAPS_ROTATED)
          && rotated == (family.unrotated() > 0 && (layer + 1) % family.unrotated() == 0)) {
        throw refused(
            "positions of layer %d are %srotated".formatted(layer, rotated ? "" : "not "));
      }
    }
  }

  /** Whether any block is. */
  private boolean isRotated() {
    return model.spec().blocks().stream().anyMatch(BlockKinds::rotates);
  }

  /** Behind the blocks that have none, of which there may be none, all have experts. */
  private void checkExperts() {
    if (family.has(GgufFamily.Trait.SINGLE_PURPOSE)) {
      return;
    }
    int dense = leadingDense();
    boolean counted =
        family.settings().stream().anyMatch(setting -> setting.key().equals(LEADING_DENSE));
    int others = (int) model.spec().blocks().stream().filter(b -> !b.hasExperts()).count();
    if (others != dense || (dense > 0 && !counted)) {
      throw refused("some blocks have experts and some have not");
    }
  }

  private int leadingDense() {
    return (int) model.spec().blocks().stream().takeWhile(block -> !block.hasExperts()).count();
  }

  private boolean isYarn() {
    return family.has(GgufFamily.Trait.YARN) && saidRope().type().equals("yarn");
  }

  private boolean isLong() {
    return family.has(GgufFamily.Trait.LONG_ROPE) && saidRope().type().equals("longrope");
  }

  /** What the configuration says of layers that see everything. */
  private RopeParameters saidRope() {
    return family.localRope() > 0 ? config.rope("full_attention") : config.rope();
  }

  /** llama.cpp takes the factor on cosine and sine for the usual one, and latents have none. */
  private void checkYarn(RopeSpec rope) {
    RopeParameters said = saidRope();
    double usual = usualFactor(said);
    if (Math.abs(rope.factor() - usual) > 1e-6) {
      throw refused(
          "the factor on cosine and sine is %s and not %s".formatted(rope.factor(), usual));
    }
    if (family.has(GgufFamily.Trait.LATENT)) {
      boolean own = family.architecture().equals("deepseek2");
      if (own ? said.mscaleAllDim() == 0 : said.mscaleAllDim() != 1) {
        throw refused("mscale_all_dim is " + said.mscaleAllDim());
      }
    }
    if (said.truncate() == family.has(GgufFamily.Trait.FRACTIONAL_YARN)) {
      throw refused("truncate is " + said.truncate());
    }
  }

  private double usualFactor(RopeParameters said) {
    if (family.has(GgufFamily.Trait.LATENT)) {
      return 1;
    }
    double usual = 1 + 0.1 * Math.log(said.factor());
    return saysYarnScale(said) ? usual / (1 + said.mscaleAllDim() * (usual - 1)) : usual;
  }

  /** Whether a file says by what the factor on cosine and sine is divided. */
  private boolean saysYarnScale(RopeParameters said) {
    return family.has(GgufFamily.Trait.TEMPERED) && said.mscaleAllDim() != 0;
  }

  private void checkRope() {
    RopeSpec rope = rope();
    if (family.has(GgufFamily.Trait.ONE_BASE)) {
      checkLocalRope();
    }
    if (isYarn()) {
      checkYarn(rope);
      return;
    }
    if (isLong()) {
      return;
    }
    if (rope.factor() != 1 || rope.beyond().isPresent()) {
      throw refused("rotary positions are of the type " + saidRope().type());
    }
    if (pairsNeighbours() && rotated() != config.headDim()) {
      throw refused("heads are rotated in part");
    }
    if (stretches().isPresent() && !family.has(GgufFamily.Trait.ROPE_FACTORS)) {
      throw refused("rotary positions are of the type " + saidRope().type());
    }
  }

  private void checkLocalRope() {
    ImmutableList<RopeSpec> plain = ImmutableList.of(Ropes.plain(theta(), config.headDim()));
    for (int layer = 0; layer < model.spec().blocks().size(); layer++) {
      if (isLocal(layer) && !ropes(layer).equals(plain)) {
        throw refused(
            "rotary positions of layers with a window are not plain ones of the base " + theta());
      }
    }
  }

  private boolean isLocal(int layer) {
    return family.localRope() > 0 && (layer + 1) % family.localRope() != 0;
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
    if (config.has("query_pre_attn_scalar")) {
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
            .filter(layer -> !isLocal(layer))
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
    RopeParameters rope = saidRope();
    double size = config.headDim();
    double alpha = rope.type().equals("dynamic") ? rope.alpha().orElse(1) : 1;
    return rope.theta() * Math.pow(alpha, size / (size - 2));
  }

  /** Its name in the file. */
  String architecture() {
    return family.architecture();
  }

  /** The place of a tensor, if it has one. */
  Optional<GgufPlace> place(String tensor) {
    return Optional.ofNullable(names.get(tensor)).flatMap(name -> GgufPlace.find(family, name));
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

  private boolean pairsNeighbours() {
    return family.has(GgufFamily.Trait.PAIRS_NEIGHBOURS);
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
    if (family.has(GgufFamily.Trait.TWO_HEAD_SIZES)) {
      return ImmutableMap.of("rope_freqs.weight", gemma().divisors());
    }
    if (isLong()) {
      return ImmutableMap.of(
          "rope_factors_long.weight",
          Floats.toArray(saidRope().longFactor()),
          "rope_factors_short.weight",
          Floats.toArray(saidRope().shortFactor()));
    }
    return stretches()
        .map(stretches -> ImmutableMap.of("rope_freqs.weight", stretches))
        .orElse(ImmutableMap.of());
  }

  private Optional<float[]> stretches() {
    if (!isRotated() || isYarn()) {
      return Optional.empty();
    }
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
    if (family.has(GgufFamily.Trait.TILED_VALUES)) {
      metadata.putInts(a + "rope.dimension_sections", sections());
    }
    if (isYarn()) {
      describeYarn(metadata, a + "rope.scaling.");
    } else if (isLong()) {
      metadata.put(a + "rope.scaling.attn_factor", (float) rope().factor());
    }
    if (family.has(GgufFamily.Trait.TEMPERED)) {
      Temperature.of(model.spec()).ifPresent(temper -> Temperature.describe(temper, metadata, a));
    }
    if (family.has(GgufFamily.Trait.PERHAPS_ROTATED)) {
      metadata.put(a + "rope.scaling.finetuned", isRotated());
    }
    if (isRotated()) {
      metadata.put(a + "rope.freq_base", (float) theta());
      metadata.put(a + "rope.dimension_count", rotated());
    }
    metadata.put(a + "vocab_size", model.spec().vocabulary());
    if (family.has(GgufFamily.Trait.LISTED_WINDOWS)) {
      metadata.put(a + "attention.sliding_window", windows().size(model.spec().context()));
      metadata.putTruths(a + "attention.sliding_window_pattern", windows().sliding());
    } else if (family.windows() > 0) {
      metadata.put(a + "attention.sliding_window", config.intValue("sliding_window"));
    }
    if (family.localRope() > 0) {
      metadata.put(a + "rope.freq_base_swa", (float) localTheta());
    }
  }

  /** Where queries have no latent llama.cpp knows the models by their blocks and tokens. */
  private void checkLatent() {
    boolean known =
        LITE.contains(model.spec().blocks().size())
            || (model.spec().blocks().size() == 48 && model.spec().vocabulary() == 128_256);
    boolean has = config.optionalInt("q_lora_rank").isPresent();
    if (has == known) {
      throw refused(
          "q_lora_rank is %s with %d blocks"
              .formatted(has ? "there" : "absent", model.spec().blocks().size()));
    }
  }

  /** Frequencies of time, height, width and nothing else, which are one in a text. */
  private ImmutableList<Integer> sections() {
    ImmutableList<Integer> said =
        config
            .section("rope_parameters")
            .map(rope -> rope.intList("mrope_section"))
            .filter(list -> !list.isEmpty())
            .orElse(ImmutableList.of(11, 11, 10));
    return Stream.concat(said.stream(), Stream.of(0, 0, 0, 0))
        .limit(4)
        .collect(ImmutableList.toImmutableList());
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

  private void describeYarn(GgufMetadata metadata, String prefix) {
    RopeParameters rope = saidRope();
    metadata.put(prefix + "type", "yarn");
    metadata.put(prefix + "factor", (float) rope.factor());
    metadata.put(
        prefix + "original_context_length",
        rope.originalMaxPosition().orElse(model.spec().context()));
    metadata.put(prefix + "yarn_beta_fast", (float) rope.betaFast());
    metadata.put(prefix + "yarn_beta_slow", (float) rope.betaSlow());
    if (saysYarnScale(rope)) {
      double part = family.has(GgufFamily.Trait.LATENT) ? 0.1 : 1;
      metadata.put(prefix + "yarn_log_multiplier", (float) (part * rope.mscaleAllDim()));
    }
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

  private double localTheta() {
    if (family.has(GgufFamily.Trait.ONE_BASE)) {
      return theta();
    }
    return config
            .section("rope_parameters")
            .flatMap(all -> all.section("sliding_attention"))
            .isPresent()
        ? config.rope("sliding_attention").theta()
        : config.doubleValue("rope_local_base_freq", 1e4);
  }

  private int whole(GgufFamily.Setting setting) {
    String name = setting.name();
    return switch (setting.key()) {
      case "block_count" -> model.spec().blocks().size();
      case "context_length" -> model.spec().context();
      case "attention.head_count" -> attention().spec().heads();
      case KEY_HEADS ->
          family.has(GgufFamily.Trait.LATENT) ? 1 : attention().spec().keyValueHeads();
      case LEADING_DENSE -> leadingDense();
      case "full_attention_interval" -> kinds.interval().orElseThrow();
      case INNER -> inner(setting);
      case "expert_count" -> config.anyInt(with(setting.names(), "num_local_experts"));
      case "rope.scaling.original_context_length" ->
          saidRope().originalMaxPosition().orElse(model.spec().context());
      default ->
          setting.fallback().isPresent() && !config.has(name)
              ? (Integer) setting.fallback().get()
              : config.anyInt(setting.names().toArray(String[]::new));
    };
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
