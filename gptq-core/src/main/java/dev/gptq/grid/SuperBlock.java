package dev.gptq.grid;

import dev.gptq.tensor.DType;

/**
 * Types of llama.cpp whose scales are quantized themselves: a block of 256 columns of a row has one
 * float16 d, and each of its groups an integer c, so that a group's scale is {@code d·c}. Types
 * with offsets have a second pair, {@code e·o}, and a weight is {@code d·c·u − e·o}, all of them
 * not negative; in the others it is {@code d·c·(u − 2^(b−1))} and d and c have signs.
 */
public enum SuperBlock {
  /** 2 bits in groups of 16, scale and offset of 4 bits: 2.625 bits a weight. */
  Q2_K(2, 16, Scheme.ASYMMETRIC, 1, 15),
  /** 3 bits in groups of 16, scales of 6 bits: 3.4375 bits a weight. */
  Q3_K(3, 16, Scheme.SYMMETRIC, -32, 31),
  /** 4 bits in groups of 32, scale and offset of 6 bits: 4.5 bits a weight. */
  Q4_K(4, 32, Scheme.ASYMMETRIC, 1, 63),
  /** 5 bits in groups of 32, scale and offset of 6 bits: 5.5 bits a weight. */
  Q5_K(5, 32, Scheme.ASYMMETRIC, 1, 63),
  /** 6 bits in groups of 16, scales of 8 bits: 6.5625 bits a weight. */
  Q6_K(6, 16, Scheme.SYMMETRIC, -128, 127);

  /** Columns of a block. */
  public static final int COLUMNS = 256;

  private final int bits;
  private final int groupSize;
  private final Scheme scheme;
  private final int leastScale;
  private final int mostScale;

  SuperBlock(int bits, int groupSize, Scheme scheme, int leastScale, int mostScale) {
    this.bits = bits;
    this.groupSize = groupSize;
    this.scheme = scheme;
    this.leastScale = leastScale;
    this.mostScale = mostScale;
  }

  /** Bits of a code. */
  public int bits() {
    return bits;
  }

  /** Columns of a group. */
  public int groupSize() {
    return groupSize;
  }

  /** Groups of a block. */
  public int groups() {
    return COLUMNS / groupSize;
  }

  /** Where zero lies: {@link Scheme#ASYMMETRIC} with offsets, else in the middle. */
  public Scheme scheme() {
    return scheme;
  }

  /** Whether groups have offsets. */
  public boolean hasOffsets() {
    return scheme.hasZeroPoint();
  }

  /** The least c; 0 is not used, since such a group would have no step. */
  public int leastScale() {
    return leastScale;
  }

  /** The largest c, and the largest o. */
  public int mostScale() {
    return mostScale;
  }

  /** The grid of its groups, with scales that are products and hence float32. */
  public GridSpec grid(GridSearch search) {
    return new GridSpec(scheme, bits, search, DType.F32);
  }
}
