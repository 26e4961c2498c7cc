package dev.gptq.models.family;

/**
 * A normalisation over features.
 *
 * @param name name of the module below its block
 * @param kind which formula
 * @param size features that are normalised together: all of them, or those of a head
 * @param gains how many gains follow each other in the stored tensor: 1 that all heads share, or
 *     one for each head
 * @param epsilon added to the variance
 */
public record NormSpec(String name, Kind kind, int size, int gains, float epsilon) {

  /** With one gain for all. */
  public NormSpec(String name, Kind kind, int size, float epsilon) {
    this(name, kind, size, 1, epsilon);
  }

  /** Formulas. */
  public enum Kind {
    /** {@code x / rms(x) · gain}. */
    RMS,
    /** {@code x / rms(x) · (1 + gain)}. */
    RMS_PLUS_ONE,
    /** {@code x / rms(x)}; the checkpoint has no tensor for it. */
    RMS_PLAIN,
    /** {@code (x − mean) / σ · gain + bias}. */
    LAYER,
    /** {@code (x − mean) / σ · (1 + gain) + bias}. */
    LAYER_PLUS_ONE,
    /** {@code (x − mean) / σ · gain}. */
    LAYER_UNBIASED,
    /** {@code (x − mean) / σ}; the checkpoint has no tensor for it. */
    LAYER_PLAIN;

    /** Whether the mean is subtracted. */
    public boolean isCentred() {
      return switch (this) {
        case RMS, RMS_PLUS_ONE, RMS_PLAIN -> false;
        case LAYER, LAYER_PLUS_ONE, LAYER_UNBIASED, LAYER_PLAIN -> true;
      };
    }

    /** Whether the checkpoint has a gain. */
    public boolean hasGain() {
      return this != RMS_PLAIN && this != LAYER_PLAIN;
    }

    /** Whether the checkpoint has a bias. */
    public boolean hasBias() {
      return this == LAYER || this == LAYER_PLUS_ONE;
    }

    /** Whether the stored gain is less by one. */
    public boolean isLessByOne() {
      return this == RMS_PLUS_ONE || this == LAYER_PLUS_ONE;
    }
  }
}
