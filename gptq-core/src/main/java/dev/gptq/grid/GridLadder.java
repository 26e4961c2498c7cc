package dev.gptq.grid;

import com.google.common.collect.ImmutableList;

/**
 * The rungs of a grid search. Each multiplies the range of the min-max grid by a shrink p; an
 * asymmetric scheme also moves the zero point by up to {@code zeroReach} codes.
 *
 * @param shrinks the factors p in the order in which they are tried; negative ones turn the grid
 *     around
 * @param zeroReach 0 or 1
 */
public record GridLadder(ImmutableList<Float> shrinks, int zeroReach) {
  /** Steps of a search that costs little a candidate. */
  public static final int FINE = 36;

  /** Steps of one that costs much: its error is flat around the best of them. */
  public static final int COARSE = 18;

  /** One candidate grid. */
  public record Rung(float shrink, int zeroShift) {}

  /**
   * Shrinks in equal steps: from 1.1 for schemes with a fixed zero, from 1 for the others, down to
   * 0.4, at 2 bits to 0.25. Few codes are worth more clipping.
   *
   * @param steps number of shrinks
   * @param signed also try each shrink negated, so that the longer side of {@code −2^(b−1) …
   *     2^(b−1) − 1} can face the extreme weight; for {@link Scheme#SYMMETRIC} only
   */
  public static GridLadder of(GridSpec spec, int steps, boolean signed) {
    boolean asymmetric = spec.scheme().hasZeroPoint();
    double widest = asymmetric ? 1.0 : 1.1;
    double narrowest = spec.bits() == 2 ? 0.25 : 0.4;
    ImmutableList.Builder<Float> shrinks = ImmutableList.builder();
    for (int i = 0; i < steps; i++) {
      float p = (float) (widest - (widest - narrowest) * i / (steps - 1));
      shrinks.add(p);
      if (signed && spec.scheme() == Scheme.SYMMETRIC) {
        shrinks.add(-p);
      }
    }
    return new GridLadder(shrinks.build(), asymmetric ? 1 : 0);
  }

  /** All rungs in order: for each shrink the zero shifts 0, −1, +1 within reach. */
  public ImmutableList<Rung> rungs() {
    ImmutableList.Builder<Rung> all = ImmutableList.builder();
    for (float p : shrinks) {
      all.add(new Rung(p, 0));
      for (int d = 1; d <= zeroReach; d++) {
        all.add(new Rung(p, -d));
        all.add(new Rung(p, d));
      }
    }
    return all.build();
  }
}
