package dev.gptq.quantize;

/** Which weights a group's grid is fitted to when groups are smaller than a block. */
public enum GroupStatistics {
  /**
   * The current weights: all errors of earlier columns have been compensated. This is what the
   * paper describes.
   */
  CURRENT,
  /**
   * The weights as of the last finished block, before the compensation of earlier columns of the
   * same block; and per-row grids see dead columns. This is what the authors' code computes, for
   * comparisons with it.
   */
  REFERENCE
}
