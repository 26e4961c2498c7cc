package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.models.config.ModelConfig;
import java.util.OptionalDouble;

/**
 * Rotary attention with the names that Llama gave its modules.
 *
 * @param hidden features of the residual stream
 * @param shape heads, scale, window, soft cap
 * @param inputBias whether queries, keys and values have a bias
 * @param outputBias whether the output has one
 * @param headNorm epsilon of the normalisation of queries and keys head by head, if there is one
 */
record SelfAttention(
    int hidden,
    AttentionSpec shape,
    boolean inputBias,
    boolean outputBias,
    OptionalDouble headNorm) {

  /** Without bias and normalisation, scaled by the root of the head size. */
  static SelfAttention of(ModelConfig config, int window) {
    int heads = config.intValue("num_attention_heads");
    int size = config.headDim();
    return new SelfAttention(
        config.intValue("hidden_size"),
        new AttentionSpec(
            heads,
            config.intValue("num_key_value_heads", heads),
            size,
            (float) (1 / Math.sqrt(size)),
            window,
            0,
            false),
        false,
        false,
        OptionalDouble.empty());
  }

  /** The same with biases. */
  SelfAttention withBias(boolean input, boolean output) {
    return new SelfAttention(hidden, shape, input, output, headNorm);
  }

  /** The same with normalised heads. */
  SelfAttention withHeadNorm(double epsilon) {
    return new SelfAttention(hidden, shape, inputBias, outputBias, OptionalDouble.of(epsilon));
  }

  /** The same with another scale and soft cap. */
  SelfAttention withScores(float scale, float softCap) {
    AttentionSpec other =
        new AttentionSpec(
            shape.heads(),
            shape.keyValueHeads(),
            shape.headSize(),
            scale,
            shape.window(),
            softCap,
            false);
    return new SelfAttention(hidden, other, inputBias, outputBias, headNorm);
  }

  /** The steps from a normalised activation to what is added to the residual stream. */
  ImmutableList<Step> steps(String in, String out) {
    int queries = shape.heads() * shape.headSize();
    int keys = shape.keyValueHeads() * shape.headSize();
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    steps.add(
        new Step.Linears(
            in,
            ImmutableList.of(
                new LinearSpec("self_attn.k_proj", "k", keys, hidden, inputBias),
                new LinearSpec("self_attn.v_proj", "v", keys, hidden, inputBias),
                new LinearSpec("self_attn.q_proj", "q", queries, hidden, inputBias))));
    headNorm.ifPresent(epsilon -> {
      steps.add(new Step.Norm("q", "q", headNorm("self_attn.q_norm", epsilon)));
      steps.add(new Step.Norm("k", "k", headNorm("self_attn.k_norm", epsilon)));
    });
    return steps.addAll(rotated(out)).build();
  }

  /** The steps from {@code q}, {@code k} and {@code v} on. */
  ImmutableList<Step> rotated(String out) {
    int queries = shape.heads() * shape.headSize();
    return ImmutableList.of(
        new Step.Rope("q", shape.headSize()),
        new Step.Rope("k", shape.headSize()),
        new Step.Attention("q", "k", "v", "a", shape),
        new Step.Linears(
            "a",
            ImmutableList.of(
                new LinearSpec("self_attn.o_proj", out, hidden, queries, outputBias))));
  }

  private NormSpec headNorm(String name, double epsilon) {
    return new NormSpec(name, NormSpec.Kind.RMS, shape.headSize(), (float) epsilon);
  }
}
