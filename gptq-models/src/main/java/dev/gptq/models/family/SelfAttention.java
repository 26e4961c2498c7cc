package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.formats.BadInputException;
import dev.gptq.models.config.ModelConfig;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Attention with a module each for queries, keys, values and output.
 *
 * @param hidden features of the residual stream
 * @param shape heads, scale, window, soft cap
 * @param names of the modules
 * @param inputBias whether queries, keys and values have a bias
 * @param outputBias whether the output has one
 * @param norms normalisation of queries and keys, if there is one
 * @param rope rotary positions, if there are any
 */
public record SelfAttention(
    int hidden,
    AttentionSpec shape,
    Names names,
    boolean inputBias,
    boolean outputBias,
    Optional<QueryKeyNorm> norms,
    Optional<RopeSpec> rope)
    implements Body {

  /** Names of the modules below the block. */
  public record Names(String query, String key, String value, String output) {
    /** Those of Llama. */
    public static final Names LLAMA =
        new Names("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj");

    /** Those of Llama but for the output. */
    static Names withOutput(String output) {
      return new Names(LLAMA.query, LLAMA.key, LLAMA.value, output);
    }
  }

  /**
   * Normalisation of queries and keys.
   *
   * @param query of queries: of each head, or of all features if its size is theirs
   * @param key of keys
   * @param rotatedFirst whether they are rotated before
   */
  public record QueryKeyNorm(NormSpec query, NormSpec key, boolean rotatedFirst) {}

  /** Without bias and normalisation, rotated, scaled by the root of the head size. */
  public static SelfAttention of(ModelConfig config, int window) {
    int heads = config.heads("num_attention_heads");
    int shared = config.heads("num_key_value_heads", heads);
    int size = config.headDim();
    if (heads % shared != 0) {
      throw new BadInputException(
          "%s: %d attention heads cannot share %d key/value heads evenly; is it the file of another"
                  .formatted(config.file(), heads, shared)
              + " model?");
    }
    return new SelfAttention(
        config.size("hidden_size"),
        new AttentionSpec(heads, shared, size, (float) (1 / Math.sqrt(size)), window, 0, false),
        Names.LLAMA,
        false,
        false,
        Optional.empty(),
        Optional.of(Ropes.of(config, size)));
  }

  /** The same with other module names. */
  public SelfAttention withNames(Names other) {
    return new SelfAttention(hidden, shape, other, inputBias, outputBias, norms, rope);
  }

  /** The same with biases. */
  public SelfAttention withBias(boolean input, boolean output) {
    return new SelfAttention(hidden, shape, names, input, output, norms, rope);
  }

  /** The same with rotary positions, or without any. */
  public SelfAttention withRope(Optional<RopeSpec> other) {
    return new SelfAttention(hidden, shape, names, inputBias, outputBias, norms, other);
  }

  /** The same with normalised queries and keys. */
  public SelfAttention withNorms(QueryKeyNorm other) {
    return new SelfAttention(hidden, shape, names, inputBias, outputBias, Optional.of(other), rope);
  }

  /** The same with heads normalised as {@code self_attn.q_norm} and {@code self_attn.k_norm}. */
  public SelfAttention withHeadNorm(NormSpec.Kind kind, double epsilon) {
    return withNorms(
        new QueryKeyNorm(
            new NormSpec("self_attn.q_norm", kind, shape.headSize(), (float) epsilon),
            new NormSpec("self_attn.k_norm", kind, shape.headSize(), (float) epsilon),
            false));
  }

  /** The same with all queries normalised together, and all keys. */
  public SelfAttention withWholeNorm(double epsilon) {
    return withNorms(
        new QueryKeyNorm(
            new NormSpec("self_attn.q_norm", NormSpec.Kind.RMS, queries(), (float) epsilon),
            new NormSpec("self_attn.k_norm", NormSpec.Kind.RMS, keys(), (float) epsilon),
            false));
  }

  /** The same with another scale and soft cap. */
  public SelfAttention withScores(float scale, float softCap) {
    AttentionSpec other =
        new AttentionSpec(
            shape.heads(),
            shape.keyValueHeads(),
            shape.headSize(),
            scale,
            shape.window(),
            softCap,
            shape.alibi());
    return new SelfAttention(hidden, other, names, inputBias, outputBias, norms, rope);
  }

  /** The same with queries that are multiplied by a factor of their position. */
  Body tempered(Step.Temper temper) {
    return (in, out) ->
        steps(in, out).stream()
            .flatMap(
                step -> step instanceof Step.Attention ? Stream.of(temper, step) : Stream.of(step))
            .collect(ImmutableList.toImmutableList());
  }

  /** Features of all queries. */
  public int queries() {
    return shape.heads() * shape.headSize();
  }

  /** Features of all keys. */
  public int keys() {
    return shape.keyValueHeads() * shape.headSize();
  }

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    return ImmutableList.<Step>builder()
        .add(
            new Step.Linears(
                in,
                ImmutableList.of(
                    new LinearSpec(names.key, "k", keys(), hidden, inputBias),
                    new LinearSpec(names.value, "v", keys(), hidden, inputBias),
                    new LinearSpec(names.query, "q", queries(), hidden, inputBias))))
        .addAll(prepared(out))
        .build();
  }

  /** The steps from {@code q}, {@code k} and {@code v} on. */
  ImmutableList<Step> prepared(String out) {
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    boolean rotatedFirst = norms.map(QueryKeyNorm::rotatedFirst).orElse(false);
    if (rotatedFirst) {
      steps.addAll(rotations());
    }
    norms.ifPresent(norm -> {
      steps.add(new Step.Norm("q", "q", norm.query()));
      steps.add(new Step.Norm("k", "k", norm.key()));
    });
    if (!rotatedFirst) {
      steps.addAll(rotations());
    }
    return steps
        .add(new Step.Attention("q", "k", "v", "a", shape))
        .add(
            new Step.Linears(
                "a",
                ImmutableList.of(new LinearSpec(names.output, out, hidden, queries(), outputBias))))
        .build();
  }

  private ImmutableList<Step> rotations() {
    return rope.map(r ->
            ImmutableList.<Step>of(
                new Step.Rope("q", shape.headSize(), r), new Step.Rope("k", shape.headSize(), r)))
        .orElse(ImmutableList.of());
  }
}
