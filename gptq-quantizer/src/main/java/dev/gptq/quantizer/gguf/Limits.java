package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamilies;
import dev.gptq.models.gguf.GgufFamily;
import dev.gptq.models.gguf.GgufFamily.Trait;
import java.util.Optional;
import java.util.stream.Collectors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Whether a model asks for something that its file cannot say, or llama.cpp not compute. */
final class Limits {
  /** Behind the name of the architecture. */
  static final String LEADING_DENSE = "leading_dense_block_count";

  /** Blocks of the models whose queries have no latent. */
  private static final ImmutableList<Integer> LITE = ImmutableList.of(26, 27);

  private final Subject subject;
  private final BlockKinds kinds;
  private final RotaryPositions rotary;

  Limits(Subject subject, BlockKinds kinds, RotaryPositions rotary) {
    this.subject = subject;
    this.kinds = kinds;
    this.rotary = rotary;
  }

  /** What a key has that it must not have. */
  static Optional<String> wrong(ModelConfig config, GgufFamily.Fixed fixed) {
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

  /** Throws if so. */
  void check() {
    for (GgufFamily.Fixed fixed : subject.family().fixed()) {
      refuse(wrong(subject.config(), fixed));
    }
    if (subject.has(Trait.TWO_HEAD_SIZES)) {
      refuse(new GemmaLayers(subject.spec(), subject.config()).refusal());
      return;
    }
    checkHeads();
    boolean grows = subject.has(Trait.TEMPERED) || subject.has(Trait.CHUNKED);
    if (!grows && Temperature.of(subject.spec()).isPresent()) {
      throw subject.refused("queries grow with their positions");
    }
    if (subject.has(Trait.CHUNKED)) {
      refuse(ChunkedLayers.refusal(subject.spec(), subject.config()));
    }
    if (subject.has(Trait.LISTED_WINDOWS)) {
      refuse(ListedWindows.of(subject.spec()).refusal(subject.family(), subject.spec()));
    } else {
      checkLayers();
    }
    rotary.check();
    refuse(kinds.refusal());
    // Without a norm behind it the order of norm and gate means nothing.
    if (subject.config().booleanValue("mamba_rms_norm", false)
        && subject.config().booleanValue("mamba_norm_before_gate", true)) {
      throw subject.refused("mamba_norm_before_gate is true and not false");
    }
    if (!subject.family().experts().isEmpty() && !subject.has(Trait.CHUNKED)) {
      checkExperts();
    }
    if (subject.has(Trait.LATENT)) {
      checkLatent();
    }
    if (subject.has(Trait.WHOLE_LATENT) && subject.config().optionalInt("q_lora_rank").isEmpty()) {
      throw subject.refused("q_lora_rank is absent");
    }
    if (subject.has(Trait.QUERY_SCALAR)) {
      checkScores(subject.spec().blocks().size());
    }
  }

  private void refuse(Optional<String> what) {
    if (what.isPresent()) {
      throw subject.refused(what.get());
    }
  }

  private void checkHeads() {
    int heads = subject.attention().spec().heads();
    boolean whole = heads * subject.config().headDim() == subject.spec().hidden();
    if (subject.has(Trait.WHOLE_HEADS) && !whole) {
      throw subject.refused(
          "head_dim is %d with %d heads".formatted(subject.config().headDim(), heads));
    }
    int keys = subject.attention().spec().keyValueHeads();
    if (subject.has(Trait.SINGLE_KEYS) && heads != keys) {
      throw subject.refused("%d heads of keys are for %d of queries".formatted(keys, heads));
    }
  }

  private void checkLayers() {
    int blocks = subject.spec().blocks().size();
    GgufFamily.Periods periods = subject.family().periods();
    for (int layer = 0; layer < blocks; layer++) {
      int window = periods.hasWindow(layer) ? subject.config().intValue("sliding_window", 0) : 0;
      subject
          .spec()
          .blocks()
          .get(layer)
          .steps(Step.Attention.class)
          .forEach(attention -> checkWindow(attention.spec().window(), window));
      boolean rotated = !rotary.ropes(layer).isEmpty();
      if (BlockKinds.attends(subject.spec().blocks().get(layer))
          && !subject.has(Trait.PERHAPS_ROTATED)
          && rotated == periods.isUnrotated(layer)) {
        throw subject.refused(
            "positions of layer %d are %srotated".formatted(layer, rotated ? "" : "not "));
      }
    }
  }

  /** Behind the blocks that have none, of which there may be none, all have experts. */
  private void checkExperts() {
    if (subject.has(Trait.SINGLE_PURPOSE)) {
      return;
    }
    int dense = subject.leadingDense();
    boolean counted =
        subject.family().settings().stream()
            .anyMatch(setting -> setting.key().equals(LEADING_DENSE));
    int others = (int) subject.spec().blocks().stream().filter(b -> !b.hasExperts()).count();
    if (others != dense || (dense > 0 && !counted)) {
      throw subject.refused("some blocks have experts and some have not");
    }
  }

  /** A window as long as the context is none. */
  private void checkWindow(int found, int wanted) {
    int context = subject.spec().context();
    boolean same =
        found == wanted || ((found == 0 || found >= context) && (wanted == 0 || wanted >= context));
    if (!same) {
      throw subject.refused(
          found == 0
              ? "layers see all of a text where others have a window"
              : "layers see a window of " + found + " tokens only");
    }
  }

  /** Gemma's scores are scaled by the size of a head, but for the two widest models. */
  private void checkScores(int blocks) {
    if (subject.config().has("query_pre_attn_scalar")) {
      int scalar = (int) subject.config().doubleValue("query_pre_attn_scalar");
      boolean wide = GgufFamilies.hasWideQueries(blocks);
      int taken =
          wide
              ? subject.config().size("hidden_size") / subject.config().heads("num_attention_heads")
              : subject.config().headDim();
      if (scalar != taken) {
        throw subject.refused("query_pre_attn_scalar is %d and not %d".formatted(scalar, taken));
      }
    }
  }

  /** Where queries have no latent llama.cpp knows the models by their blocks and tokens. */
  private void checkLatent() {
    boolean known =
        !subject.has(Trait.INDEXED)
            && (LITE.contains(subject.spec().blocks().size())
                || (subject.spec().blocks().size() == 48
                    && subject.spec().vocabulary() == 128_256));
    boolean has = subject.config().optionalInt("q_lora_rank").isPresent();
    if (has == known) {
      throw subject.refused(
          "q_lora_rank is %s with %d blocks"
              .formatted(has ? "there" : "absent", subject.spec().blocks().size()));
    }
  }
}
