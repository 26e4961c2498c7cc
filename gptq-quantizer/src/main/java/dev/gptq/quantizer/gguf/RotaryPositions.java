package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.primitives.Floats;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.models.config.RopeParameters;
import dev.gptq.models.family.RopeSpec;
import dev.gptq.models.family.Ropes;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamily.Trait;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** How queries and keys are turned by their positions, as GGUF files say it. */
final class RotaryPositions {
  private final Subject subject;

  RotaryPositions(Subject subject) {
    this.subject = subject;
  }

  /** Adds the entries on them, whose keys begin with a prefix. */
  void describe(GgufMetadata metadata, String prefix) {
    if (subject.has(Trait.SECTIONED)) {
      metadata.putInts(prefix + "rope.dimension_sections", sections());
    }
    if (isYarn()) {
      describeYarn(metadata, prefix + "rope.scaling.");
    } else if (isLong()) {
      metadata.put(prefix + "rope.scaling.attn_factor", (float) rope().factor());
    }
    if (subject.has(Trait.PERHAPS_ROTATED)) {
      metadata.put(prefix + "rope.scaling.finetuned", isRotated());
    }
    if (isRotated()) {
      metadata.put(prefix + "rope.freq_base", (float) theta());
      metadata.put(prefix + "rope.dimension_count", rotated());
    }
    if (subject.family().periods().localRope() > 0) {
      metadata.put(prefix + "rope.freq_base_swa", (float) localTheta());
    }
  }

  /** By what each frequency is divided, under the names of tensors; none if all are by one. */
  ImmutableMap<String, float[]> divisors() {
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

  private boolean isYarn() {
    return subject.has(Trait.YARN) && saidRope().type().equals("yarn");
  }

  private boolean isLong() {
    return subject.has(Trait.LONG_ROPE) && saidRope().type().equals("longrope");
  }

  /** What the configuration says of layers that see everything. */
  RopeParameters saidRope() {
    return subject.family().periods().localRope() > 0
        ? subject.config().rope("full_attention")
        : subject.config().rope();
  }

  /** llama.cpp takes the factor on cosine and sine for the usual one, and latents have none. */
  private void checkYarn(RopeSpec rope) {
    RopeParameters said = saidRope();
    double usual = usualFactor(said);
    if (Math.abs(rope.factor() - usual) > 1e-6) {
      throw subject.refused(
          "the factor on cosine and sine is %s and not %s".formatted(rope.factor(), usual));
    }
    if (subject.has(Trait.LATENT)) {
      boolean own = subject.family().architecture().equals("deepseek2");
      if (own ? said.mscaleAllDim() == 0 : said.mscaleAllDim() != 1) {
        throw subject.refused("mscale_all_dim is " + said.mscaleAllDim());
      }
    }
    if (said.truncate() == subject.has(Trait.FRACTIONAL_YARN)) {
      throw subject.refused("truncate is " + said.truncate());
    }
  }

  private double usualFactor(RopeParameters said) {
    if (subject.has(Trait.LATENT)) {
      return 1;
    }
    double usual = 1 + 0.1 * Math.log(said.factor());
    return saysYarnScale(said) ? usual / (1 + said.mscaleAllDim() * (usual - 1)) : usual;
  }

  /** Whether a file says by what the factor on cosine and sine is divided. */
  private boolean saysYarnScale(RopeParameters said) {
    return subject.has(Trait.TEMPERED) && said.mscaleAllDim() != 0;
  }

  /** Throws if they are turned in a way that a file cannot say. */
  void check() {
    if (!isRotated()) {
      return;
    }
    RopeSpec rope = rope();
    if (subject.has(Trait.SECTIONED) && saidSections().isEmpty()) {
      throw subject.refused("mrope_section is absent");
    }
    if (subject.has(Trait.ONE_BASE)) {
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
      throw subject.refused("rotary positions are of the type " + saidRope().type());
    }
    if (subject.has(Trait.PAIRS_NEIGHBOURS) && rotated() != subject.config().headDim()) {
      throw subject.refused("heads are rotated in part");
    }
    if (stretches().isPresent() && !subject.has(Trait.ROPE_FACTORS)) {
      throw subject.refused("rotary positions are of the type " + saidRope().type());
    }
  }

  private void checkLocalRope() {
    ImmutableList<RopeSpec> plain =
        ImmutableList.of(Ropes.plain(theta(), subject.config().headDim()));
    for (int layer = 0; layer < subject.spec().blocks().size(); layer++) {
      if (subject.family().periods().isLocal(layer) && !ropes(layer).equals(plain)) {
        throw subject.refused(
            "rotary positions of layers with a window are not plain ones of the base " + theta());
      }
    }
  }

  /** The different rotations of a block. */
  ImmutableList<RopeSpec> ropes(int layer) {
    return subject
        .spec()
        .blocks()
        .get(layer)
        .steps(Step.Rope.class)
        .map(Step.Rope::rope)
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  /** The rotary positions of layers that see everything. */
  private RopeSpec rope() {
    List<RopeSpec> all =
        IntStream.range(0, subject.spec().blocks().size())
            .filter(layer -> !subject.family().periods().isLocal(layer))
            .boxed()
            .flatMap(layer -> ropes(layer).stream())
            .distinct()
            .toList();
    if (all.size() != 1) {
      throw subject.refused("layers have different rotary positions");
    }
    return all.getFirst();
  }

  private int rotated() {
    return 2 * rope().frequencies().length();
  }

  private double theta() {
    RopeParameters rope = saidRope();
    double size = subject.config().headDim();
    double alpha = rope.type().equals("dynamic") ? rope.alpha().orElse(1) : 1;
    return rope.theta() * Math.pow(alpha, size / (size - 2));
  }

  /** Whether any block is. */
  boolean isRotated() {
    return subject.spec().blocks().stream().anyMatch(BlockKinds::rotates);
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

  /** Frequencies of time, height, width and nothing else, which are one in a text. */
  private ImmutableList<Integer> sections() {
    return Stream.concat(saidSections().stream(), Stream.of(0, 0, 0, 0))
        .limit(4)
        .collect(ImmutableList.toImmutableList());
  }

  /** Only Qwen 3.5 has usual ones. */
  private ImmutableList<Integer> saidSections() {
    ImmutableList<Integer> usual =
        subject.has(Trait.TILED_VALUES) ? ImmutableList.of(11, 11, 10) : ImmutableList.of();
    return Stream.of("rope_parameters", "rope_scaling")
        .flatMap(name -> subject.config().section(name).stream())
        .map(rope -> rope.intList("mrope_section"))
        .filter(list -> !list.isEmpty())
        .findFirst()
        .orElse(usual);
  }

  private void describeYarn(GgufMetadata metadata, String prefix) {
    RopeParameters rope = saidRope();
    metadata.put(prefix + "type", "yarn");
    metadata.put(prefix + "factor", (float) rope.factor());
    metadata.put(
        prefix + "original_context_length",
        rope.originalMaxPosition().orElse(subject.spec().context()));
    metadata.put(prefix + "yarn_beta_fast", (float) rope.betaFast());
    metadata.put(prefix + "yarn_beta_slow", (float) rope.betaSlow());
    if (saysYarnScale(rope)) {
      double part = subject.has(Trait.LATENT) ? 0.1 : 1;
      metadata.put(prefix + "yarn_log_multiplier", (float) (part * rope.mscaleAllDim()));
    }
  }

  private double localTheta() {
    if (subject.has(Trait.ONE_BASE)) {
      return theta();
    }
    return subject
            .config()
            .section("rope_parameters")
            .flatMap(all -> all.section("sliding_attention"))
            .isPresent()
        ? subject.config().rope("sliding_attention").theta()
        : subject.config().doubleValue("rope_local_base_freq", 1e4);
  }
}
