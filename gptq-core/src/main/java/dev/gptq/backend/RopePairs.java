package dev.gptq.backend;

/** Which two channels of a head rotary positions turn together; r channels are rotated. */
public enum RopePairs {
  /** Channels c and c + r/2, c &lt; r/2. */
  HALVES,
  /** Channels 2c and 2c + 1, c &lt; r/2. */
  ADJACENT;

  /** The first channel of pair c. */
  public int first(int c) {
    return this == HALVES ? c : 2 * c;
  }

  /** The second channel of pair c of so many pairs. */
  public int second(int c, int pairs) {
    return this == HALVES ? c + pairs : 2 * c + 1;
  }
}
