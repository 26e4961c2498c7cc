package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.models.family.LinearSpec.Storage;
import dev.gptq.models.family.Step.Split.Part;

/**
 * Parts of the older decoders: layer norms, every head with keys of its own, two linear layers with
 * one activation function between.
 *
 * @param hidden features of the residual stream
 * @param heads attention heads
 * @param inner features of the feed-forward layer
 * @param epsilon of all norms
 * @param bias whether the linear layers have a bias
 * @param storage how their weights are stored
 * @param norm kind of all norms
 */
record ClassicBlock(
    int hidden,
    int heads,
    int inner,
    float epsilon,
    boolean bias,
    Storage storage,
    NormSpec.Kind norm) {

  ClassicBlock(int hidden, int heads, int inner, float epsilon, boolean bias, Storage storage) {
    this(hidden, heads, inner, epsilon, bias, storage, NormSpec.Kind.LAYER);
  }

  /** The same without biases. */
  ClassicBlock withoutBias() {
    return new ClassicBlock(hidden, heads, inner, epsilon, false, storage, norm);
  }

  Step norm(String in, String out, String name) {
    return new Step.Norm(in, out, new NormSpec(name, norm, hidden, epsilon));
  }

  Step linear(String in, String module, String out, int outputs, int inputs) {
    return new Step.Linears(in, ImmutableList.of(spec(module, out, outputs, inputs)));
  }

  LinearSpec spec(String module, String out, int outputs, int inputs) {
    return new LinearSpec(module, out, outputs, inputs, bias, storage);
  }

  /**
   * One layer for queries, keys and values.
   *
   * @param runs 1 if they follow each other, the number of heads if they do so in each head
   */
  ImmutableList<Step> fused(String in, String module, int runs) {
    return ImmutableList.of(
        linear(in, module, "qkv", 3 * hidden, hidden),
        new Step.Split(
            "qkv",
            runs,
            ImmutableList.of(new Part("q", hidden), new Part("k", hidden), new Part("v", hidden))));
  }

  /** Attention of {@code q}, {@code k} and {@code v}, which defines {@code a}. */
  Step attention(boolean alibi) {
    int size = hidden / heads;
    return attention(alibi, 1 / Math.sqrt(size));
  }

  /** The same with another scale. */
  Step attention(boolean alibi, double scale) {
    int size = hidden / heads;
    return new Step.Attention(
        "q", "k", "v", "a", new AttentionSpec(heads, heads, size, (float) scale, 0, 0, alibi));
  }

  /** The feed-forward layer. */
  ImmutableList<Step> feedForward(
      String in, String wide, Activation function, String narrow, String out) {
    return ImmutableList.of(
        linear(in, wide, "h", inner, hidden),
        new Step.Activate(function, "h"),
        linear("h", narrow, out, hidden, inner));
  }
}
