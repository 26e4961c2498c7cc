package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;

/**
 * A gated feed-forward layer whose gate and up are one module, the gate first: {@code
 * down(f(gate(x))·up(x))}.
 *
 * @param gateUp name of the fused module
 * @param down name of the module behind it
 * @param hidden features of the residual stream
 * @param inner features between
 * @param function of the gate
 */
public record FusedFeedForward(
    String gateUp, String down, int hidden, int inner, Activation function) implements Body {

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    String both = out + ".both";
    String gate = out + ".gate";
    String up = out + ".up";
    return ImmutableList.of(
        new Step.Linears(
            in, ImmutableList.of(new LinearSpec(gateUp, both, 2 * inner, hidden, false))),
        new Step.Split(
            both,
            1,
            ImmutableList.of(new Step.Split.Part(gate, inner), new Step.Split.Part(up, inner))),
        new Step.Gate(function, gate, up),
        new Step.Linears(gate, ImmutableList.of(new LinearSpec(down, out, hidden, inner, false))));
  }
}
