package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Activation;

/**
 * An expert of gpt-oss: {@code down((min(up, limit) + 1)·g·σ(alpha·g))} with {@code g = min(gate,
 * limit)}, up not below {@code −limit} either.
 *
 * @param layers the layers
 * @param alpha slope of the logistic function
 * @param limit of what gate and up give
 */
record GptOssExpert(FeedForward layers, float alpha, float limit) implements Body {

  @Override
  public ImmutableList<Step> steps(String in, String out) {
    String gate = out + ".gate";
    String up = out + ".up";
    // (u + 1)·g·σ(αg) is (u·s + s)/α with s = αg·σ(αg).
    return ImmutableList.of(
        layers.first(in, gate, up),
        new Step.Clamp(Float.NEGATIVE_INFINITY, limit, gate),
        new Step.Clamp(-limit, limit, up),
        new Step.Scale(alpha, gate),
        new Step.Activate(Activation.SILU, gate),
        new Step.Scale(1 / alpha, gate),
        new Step.Gate(Activation.IDENTITY, up, gate),
        new Step.Add(gate, up),
        layers.last(up, out));
  }
}
