package dev.gptq.models.family;

/**
 * A normalisation over features.
 *
 * @param name name of the module; below the block for a block's own, else in full
 * @param kind which formula
 * @param size features that are normalised together
 * @param epsilon added to the variance
 */
public record NormSpec(String name, Kind kind, int size, float epsilon) {
  /** Formulas. */
  public enum Kind {
    /** {@code x / rms(x) · gain}. */
    RMS,
    /** {@code (x − mean) / σ · gain + bias}. */
    LAYER
  }
}
