package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * What a block adds to the residual stream: {@code x ← x + scale·after(body(before(x)))}.
 *
 * @param before norm of what the body reads, if it has one
 * @param body attention or feed-forward layer
 * @param after norm of what comes out, if it has one
 * @param scale factor on it
 */
public record Branch(Optional<NormSpec> before, Body body, Optional<NormSpec> after, float scale) {

  /** With a norm before the body. */
  public static Branch before(NormSpec norm, Body body) {
    return new Branch(Optional.of(norm), body, Optional.empty(), 1);
  }

  /** With a norm behind the body. */
  public static Branch after(Body body, NormSpec norm) {
    return new Branch(Optional.empty(), body, Optional.of(norm), 1);
  }

  /** With both. */
  public static Branch between(NormSpec before, Body body, NormSpec after) {
    return new Branch(Optional.of(before), body, Optional.of(after), 1);
  }

  /** The same with a factor. */
  public Branch withScale(double factor) {
    return new Branch(before, body, after, (float) factor);
  }

  /** Branches one after the other. */
  public static ImmutableList<Step> block(Branch attention, Branch feedForward) {
    return ImmutableList.<Step>builder()
        .addAll(attention.steps("n", "o"))
        .addAll(feedForward.steps("m", "d"))
        .build();
  }

  /**
   * Two bodies that read the same norm of the residual stream side by side. Each output is added
   * once it is known, so that the second body can make up for what the stream lacks by then.
   */
  public static ImmutableList<Step> parallel(NormSpec norm, Body attention, Body feedForward) {
    return ImmutableList.<Step>builder()
        .add(new Step.Norm(Step.RESIDUAL, "n", norm))
        .addAll(attention.steps("n", "o"))
        .add(new Step.Add("o", Step.RESIDUAL))
        .addAll(feedForward.steps("n", "d"))
        .add(new Step.Add("d", Step.RESIDUAL))
        .build();
  }

  /** The steps; {@code in} and {@code out} are names for what the body reads and defines. */
  public ImmutableList<Step> steps(String in, String out) {
    ImmutableList.Builder<Step> steps = ImmutableList.builder();
    before.ifPresent(norm -> steps.add(new Step.Norm(Step.RESIDUAL, in, norm)));
    steps.addAll(body.steps(before.isPresent() ? in : Step.RESIDUAL, out));
    after.ifPresent(norm -> steps.add(new Step.Norm(out, out, norm)));
    if (scale != 1) {
      steps.add(new Step.Scale(scale, out));
    }
    return steps.add(new Step.Add(out, Step.RESIDUAL)).build();
  }
}
