package dev.gptq.quantizer.pipeline;

import com.google.common.base.Preconditions;

/**
 * What a layer's quantized weights are to come close to; see {@link dev.gptq.quantize.InputDrift}.
 *
 * @param kind which errors made before the layer it makes up for
 * @param alpha how much of them, 0 to 1
 */
public record Target(Kind kind, double alpha) {

  /** Which errors made before a layer it makes up for. */
  public enum Kind {
    /** None: the target is W. */
    PLAIN("plain"),
    /** Those of its input. */
    QEP("qep"),
    /** Those of its input, and for layers that write into the residual stream the stream's own. */
    RESIDUAL("residual");

    private final String id;

    Kind(String id) {
      this.id = id;
    }

    /** The name on the command line. */
    public String id() {
      return id;
    }
  }

  /** The share that gains most at 4 bits and nearly most below. */
  public static final double DEFAULT_ALPHA = 0.5;

  /** The weights themselves. */
  public static final Target PLAIN = new Target(Kind.PLAIN, 0);

  /** Checks the range. */
  public Target {
    Preconditions.checkArgument(
        alpha >= 0 && alpha <= 1, "alpha must be between 0 and 1 but is %s", alpha);
  }

  /** Whether the full-precision activations have to pass through the model as well. */
  boolean needsFullPrecision() {
    return kind != Kind.PLAIN;
  }
}
