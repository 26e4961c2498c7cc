package dev.gptq.models.family;

/**
 * A normalisation over features.
 *
 * @param name name of the module below its block
 * @param kind which formula
 * @param size features that are normalised together: all of them, or those of a head
 * @param epsilon added to the variance
 */
public record NormSpec(String name, Kind kind, int size, float epsilon) {
  /** Formulas. */
  public enum Kind {
    /** {@code x / rms(x) · gain}. */
    RMS,
    /** {@code x / rms(x) · (1 + gain)}. */
    RMS_PLUS_ONE,
    /** {@code (x − mean) / σ · gain + bias}. */
    LAYER
  }
}
