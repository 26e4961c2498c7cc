package dev.gptq.quantize;

import com.google.common.base.Preconditions;

/**
 * What is done beyond plain GPTQ, at the same file format.
 *
 * @param beam partial solutions that the column loop keeps for each row; 1 is plain GPTQ
 * @param refits how often scales are refitted to their codes; before each time but the first the
 *     columns are quantized again with the refitted scales
 * @param sweeps sweeps of coordinate descent over the codes; after every second one, and after the
 *     last, scales are refitted if {@code refits > 0}
 * @param signedScales whether searches with a Hessian also try negative scales, see {@link
 *     dev.gptq.grid.GridLadder}
 */
public record Refinement(int beam, int refits, int sweeps, boolean signedScales) {
  /** The widest beam. */
  public static final int WIDEST_BEAM = 32;

  /** Plain GPTQ. */
  public static final Refinement NONE = new Refinement(1, 0, 0, false);

  /** Checks the ranges. */
  public Refinement {
    Preconditions.checkArgument(
        beam >= 1 && beam <= WIDEST_BEAM,
        "beam must be between 1 and %s but is %s",
        WIDEST_BEAM,
        beam);
    Preconditions.checkArgument(refits >= 0, "refits must not be negative but are %s", refits);
    Preconditions.checkArgument(sweeps >= 0, "sweeps must not be negative but are %s", sweeps);
  }

  /** Whether codes or scales are worked on after the column loop, for which H itself is needed. */
  boolean needsHessian() {
    return refits > 0 || sweeps > 0;
  }
}
