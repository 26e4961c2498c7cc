package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;
import java.util.Optional;

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
 * @param expert which of some experts it is whose weights may be together
 */
public record FeedForward(
    String gate,
    String up,
    String down,
    int hidden,
    int inner,
    Activation function,
    boolean bias,
    Optional<Expert> expert)
    implements Body {

  /**
   * One of some experts.
   *
   * @param together how a checkpoint may keep their weights
   * @param index which one
   */
  record Expert(FusedExperts together, int index) {}

  /** With a tensor for each layer. */
  public FeedForward(
      String gate,
      String up,
      String down,
      int hidden,
      int inner,
      Activation function,
      boolean bias) {
    this(gate, up, down, hidden, inner, function, bias, Optional.empty());
  }

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

  /** The same as one of some experts. */
  FeedForward asExpert(int index, FusedExperts together) {
    return new FeedForward(
        gate, up, down, hidden, inner, function, bias, Optional.of(new Expert(together, index)));
  }

  /** The layers that read the input, and define {@code gated} and {@code passed}. */
  Step.Linears first(String in, String gated, String passed) {
    LinearSpec upper = new LinearSpec(up, passed, inner, hidden, bias);
    LinearSpec gating = new LinearSpec(gate, gated, inner, hidden, bias);
    return new Step.Linears(
        in,
        ImmutableList.of(
            expert.map(e -> upper.within(e.together().up(e.index()))).orElse(upper),
            expert.map(e -> gating.within(e.together().gate(e.index()))).orElse(gating)));
  }

  /** The layer behind them. */
  Step.Linears last(String in, String out) {
    LinearSpec linear = new LinearSpec(down, out, hidden, inner, bias);
    return new Step.Linears(
        in,
        ImmutableList.of(
            expert.map(e -> linear.within(e.together().down(e.index()))).orElse(linear)));
  }

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    String gated = out + ".gate";
    String passed = out + ".up";
    return ImmutableList.of(
        first(in, gated, passed), new Step.Gate(function, gated, passed), last(gated, out));
  }
}
