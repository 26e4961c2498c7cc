package dev.gptq.quantizer.pipeline;

import dev.gptq.formats.packed.Precision;

/**
 * What happened to one module; a line of the quantization log. Errors are means over calibration
 * tokens of the squared output error {@code ‖(W − Q)x‖²}, undamped; relative errors divide them by
 * that of {@code ‖Wx‖²}. They are NaN where no calibration text was used.
 *
 * @param layer index of the block
 * @param module name below the block
 * @param name full name
 * @param rows output features
 * @param columns input features
 * @param bits bits of a code
 * @param groupSize columns of a group; -1 for whole rows
 * @param sym whether the zero point is fixed
 * @param error mean squared output error
 * @param relativeError the same relative to the output
 * @param rtnError the error of rounding to nearest on the same kind of grid
 * @param rtnRelativeError the same relative to the output
 * @param damp the share of the mean diagonal that was added; NaN where GPTQ was not tried
 * @param tokens calibration tokens that the module saw
 * @param fallback why the module is rounded to nearest although GPTQ was asked for; empty if it is
 *     not
 * @param seconds time it took, its share of the factor's included; those of experts overlap
 */
public record ModuleReport(
    int layer,
    String module,
    String name,
    int rows,
    int columns,
    int bits,
    int groupSize,
    boolean sym,
    double error,
    double relativeError,
    double rtnError,
    double rtnRelativeError,
    double damp,
    long tokens,
    String fallback,
    double seconds) {
  /** Bits and group size. */
  public Precision precision() {
    return new Precision(bits, groupSize);
  }

  /** Whether GPTQ was asked for and the module is rounded to nearest all the same. */
  public boolean fellBack() {
    return !fallback.isEmpty();
  }

  /** Whether GPTQ solved it, though rounding to nearest may have been kept. */
  public boolean solved() {
    return Double.isFinite(damp);
  }

  /** The same after more time. */
  public ModuleReport plusSeconds(double more) {
    return with(tokens, seconds + more);
  }

  /** The same of so many tokens. */
  ModuleReport withTokens(long seen) {
    return with(seen, seconds);
  }

  private ModuleReport with(long seen, double time) {
    return new ModuleReport(
        layer,
        module,
        name,
        rows,
        columns,
        bits,
        groupSize,
        sym,
        error,
        relativeError,
        rtnError,
        rtnRelativeError,
        damp,
        seen,
        fallback,
        time);
  }
}
