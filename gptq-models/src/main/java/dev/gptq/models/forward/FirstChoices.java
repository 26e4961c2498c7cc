package dev.gptq.models.forward;

import dev.gptq.models.family.Step;
import java.util.function.BooleanSupplier;

/**
 * Chooses experts for tokens that nobody asked about, so that what does it is compiled by the time
 * that a batch of a device comes, which has some ten thousand tokens and whose thread would
 * interpret it meanwhile.
 */
public final class FirstChoices {
  private static final int TOKENS = 2048;
  private static final int ROUNDS = 16;

  private FirstChoices() {}

  /**
   * Makes them.
   *
   * @param route with whose experts
   * @param stopped whether nobody needs them any more
   */
  public static void make(Step.Route route, BooleanSupplier stopped) {
    int experts = route.router().outputs();
    float[] logits = new float[TOKENS * experts];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = i * 31 % 97 * 0.1f;
    }
    for (int round = 0; round < ROUNDS && !stopped.getAsBoolean(); round++) {
      Routes.of(logits, route.routing(), new float[experts]).experts().getFirst().factors();
    }
  }
}
