package dev.gptq.quantizer.pipeline;

/**
 * Where a quantization has its hidden states.
 *
 * @param states those of the calibration windows while no block works on them
 * @param borders those before each block, from the way forward of a backward pass to its way back
 */
public record StatePlaces(HiddenStates states, HiddenStates borders) {
  /** All of them in one place. */
  public static StatePlaces all(HiddenStates where) {
    return new StatePlaces(where, where);
  }
}
