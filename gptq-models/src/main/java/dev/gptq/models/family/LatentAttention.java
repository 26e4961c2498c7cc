package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.backend.RopePairs;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.config.RopeParameters;
import dev.gptq.models.family.Step.Join;
import dev.gptq.models.family.Step.Split;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Multi-head latent attention, written out: keys and values of all heads are made from one small
 * latent, and each key ends in rotated channels that all heads share. A value that has fewer
 * channels than a key is filled up with its own, which are cut off again behind attention.
 *
 * @param hidden features of the residual stream
 * @param heads attention heads
 * @param queryLatent features of the latent of queries, if they have one
 * @param latent features of the latent of keys and values
 * @param still channels of a query or key that are not rotated
 * @param rotated channels that are
 * @param value channels of a value
 * @param bias whether the modules that read or write the residual stream have one
 * @param scale of the scores
 * @param epsilon of the norms of the latents
 * @param rope rotary positions
 * @param temper what queries are multiplied by, if they are
 */
record LatentAttention(
    int hidden,
    int heads,
    OptionalInt queryLatent,
    int latent,
    int still,
    int rotated,
    int value,
    boolean bias,
    float scale,
    float epsilon,
    RopeSpec rope,
    Optional<Step.Temper> temper)
    implements Body {

  /** Of which channels side by side turn together, or where {@code rope_interleave} says so. */
  static LatentAttention of(ModelConfig config, boolean adjacent) {
    return of(
        config,
        adjacent || config.booleanValue("rope_interleave", true)
            ? RopePairs.ADJACENT
            : RopePairs.HALVES);
  }

  /** Of which halves of the rotated channels turn together. */
  static LatentAttention ofHalves(ModelConfig config) {
    return of(config, RopePairs.HALVES);
  }

  private static LatentAttention of(ModelConfig config, RopePairs pairs) {
    int still = config.heads("qk_nope_head_dim");
    int rotated = config.heads("qk_rope_head_dim");
    int value = config.heads("v_head_dim");
    if (value > still + rotated) {
      throw Switches.refused(
          config, "v_head_dim", String.valueOf(value), "a key must have as many channels");
    }
    RopeParameters rope = config.rope().withPartialRotaryFactor(1);
    return new LatentAttention(
        config.size("hidden_size"),
        config.heads("num_attention_heads"),
        config.optionalInt("q_lora_rank"),
        config.size("kv_lora_rank"),
        still,
        rotated,
        value,
        config.booleanValue("attention_bias", false),
        (float) (stretched(rope) / Math.sqrt(still + rotated)),
        1e-6f,
        Ropes.of(config, rope, rotated).withPairs(pairs),
        Ropes.temper(config));
  }

  /** A stretched context may sharpen the scores. */
  private static double stretched(RopeParameters rope) {
    if (rope.type().equals("default") || rope.mscaleAllDim() == 0) {
      return 1;
    }
    double magnitude = Ropes.magnitude(rope.factor(), rope.mscaleAllDim());
    return magnitude * magnitude;
  }

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    int size = still + rotated;
    LinearSpec compressed = linear("kv_a_proj_with_mqa", "latents", latent + rotated, hidden, bias);
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    if (queryLatent.isPresent()) {
      int own = queryLatent.getAsInt();
      steps.add(
          new Step.Linears(
              in, ImmutableList.of(linear("q_a_proj", "c", own, hidden, bias), compressed)),
          new Step.Norm("c", "c", norm("q_a_layernorm", own)),
          new Step.Linears(
              "c", ImmutableList.of(linear("q_b_proj", "qs", heads * size, own, false))));
    } else {
      steps.add(
          new Step.Linears(
              in,
              ImmutableList.of(linear("q_proj", "qs", heads * size, hidden, false), compressed)));
    }
    steps.add(
        new Split(
            "latents",
            1,
            ImmutableList.of(new Split.Part("kv", latent), new Split.Part("kr", rotated))),
        new Step.Norm("kv", "kvn", norm("kv_a_layernorm", latent)),
        new Step.Linears(
            "kvn",
            ImmutableList.of(linear("kv_b_proj", "kvs", heads * (still + value), latent, false))));
    return steps.addAll(attended(size, out)).build();
  }

  private ImmutableList<Step> attended(int size, String out) {
    AttentionSpec spec = new AttentionSpec(heads, heads, size, scale, 0, 0, false);
    boolean filled = size > value;
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps.add(
        split("qs", new Split.Part("qn", heads * still), new Split.Part("qr", heads * rotated)),
        split("kvs", new Split.Part("kn", heads * still), new Split.Part("vs", heads * value)),
        new Step.Rope("qr", rotated, rope),
        new Step.Rope("kr", rotated, rope),
        join("q", new Join.Piece("qn", still, still), new Join.Piece("qr", rotated, rotated)),
        join("k", new Join.Piece("kn", still, still), new Join.Piece("kr", rotated, 0)),
        new Join(values(size), heads, "v"));
    temper.ifPresent(steps::add);
    steps.add(new Step.Attention("q", "k", "v", "a", spec));
    if (filled) {
      Split.Part filling = new Split.Part("filling", heads * (size - value));
      steps.add(split("a", new Split.Part("av", heads * value), filling));
    }
    return steps
        .add(
            new Step.Linears(
                filled ? "av" : "a",
                ImmutableList.of(linear("o_proj", out, hidden, heads * value, bias))))
        .build();
  }

  /** The channels of a value again and again, as many as a key has. */
  private ImmutableList<Join.Piece> values(int size) {
    ImmutableList.Builder<Join.Piece> pieces = ImmutableList.builder();
    for (int from = 0; from < size; from += value) {
      pieces.add(new Join.Piece("vs", Math.min(value, size - from), value));
    }
    return pieces.build();
  }

  private Step split(String of, Split.Part... parts) {
    return new Split(of, heads, ImmutableList.copyOf(parts));
  }

  private Step join(String out, Join.Piece... parts) {
    return new Join(ImmutableList.copyOf(parts), heads, out);
  }

  private static LinearSpec linear(
      String module, String out, int outputs, int inputs, boolean bias) {
    return new LinearSpec("self_attn." + module, out, outputs, inputs, bias);
  }

  private NormSpec norm(String module, int size) {
    return new NormSpec("self_attn." + module, NormSpec.Kind.RMS, size, epsilon);
  }
}
