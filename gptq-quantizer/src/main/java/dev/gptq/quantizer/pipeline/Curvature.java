package dev.gptq.quantizer.pipeline;

import java.util.Locale;

/** What is taken into account of how much errors of a layer cost. */
public enum Curvature {
  /** Its inputs. */
  INPUTS,
  /** Its inputs, and how much the loss of the model depends on each token's outputs. */
  TOKENS,
  /** Also how the loss couples its outputs: the curvature of the model's KL divergence. */
  KL;

  /** The name on the command line. */
  public String id() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Whether gradients of the loss are taken. */
  public boolean needsGradients() {
    return this != INPUTS;
  }
}
