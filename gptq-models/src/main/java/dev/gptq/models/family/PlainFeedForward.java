package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;

/**
 * A feed-forward layer without a gate: {@code narrow(f(wide(x)))}.
 *
 * @param wide name of the first module
 * @param narrow name of the second
 * @param hidden features of the residual stream
 * @param inner features between
 * @param function between them
 * @param bias whether both have a bias
 */
public record PlainFeedForward(
    String wide, String narrow, int hidden, int inner, Activation function, boolean bias)
    implements Body {

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    String between = out + ".inner";
    return ImmutableList.of(
        new Step.Linears(in, ImmutableList.of(new LinearSpec(wide, between, inner, hidden, bias))),
        new Step.Activate(function, between),
        new Step.Linears(
            between, ImmutableList.of(new LinearSpec(narrow, out, hidden, inner, bias))));
  }
}
