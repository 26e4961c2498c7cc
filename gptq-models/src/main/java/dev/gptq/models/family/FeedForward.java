package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;

/**
 * A gated feed-forward layer {@code down(f(gate(x))·up(x))}.
 *
 * @param gate name of the gate's module
 * @param up name of the module that is gated
 * @param down name of the module behind them
 * @param hidden features of the residual stream
 * @param inner features between
 * @param function of the gate
 * @param bias whether all three have a bias
 */
public record FeedForward(
    String gate, String up, String down, int hidden, int inner, Activation function, boolean bias)
    implements Body {

  /** With the names that Llama gave the modules, below a prefix. */
  public static FeedForward named(
      String prefix, int hidden, int inner, Activation function, boolean bias) {
    return new FeedForward(
        prefix + "gate_proj",
        prefix + "up_proj",
        prefix + "down_proj",
        hidden,
        inner,
        function,
        bias);
  }

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    String gated = out + ".gate";
    String passed = out + ".up";
    return ImmutableList.of(
        new Step.Linears(
            in,
            ImmutableList.of(
                new LinearSpec(up, passed, inner, hidden, bias),
                new LinearSpec(gate, gated, inner, hidden, bias))),
        new Step.Gate(function, gated, passed),
        new Step.Linears(gated, ImmutableList.of(new LinearSpec(down, out, hidden, inner, bias))));
  }
}
