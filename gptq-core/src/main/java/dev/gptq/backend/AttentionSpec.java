package dev.gptq.backend;

import com.google.common.base.Preconditions;

/**
 * Shape and variant of causal attention.
 *
 * @param heads query heads
 * @param keyValueHeads key and value heads; divides {@code heads}
 * @param headSize channels of a head
 * @param scale factor on the scores, usually 1/√headSize
 * @param window number of latest positions a query sees, itself included; 0 for all
 * @param softCap {@code c·tanh(score/c)} is applied to the scaled scores if c &gt; 0
 * @param alibi {@code alibi·slope[head]·(position of key − position of query)} is added, with the
 *     slopes of Press et al., ALiBi; 0 for none, usually 1
 */
public record AttentionSpec(
    int heads,
    int keyValueHeads,
    int headSize,
    float scale,
    int window,
    float softCap,
    float alibi) {

  /** With ALiBi as published, or without. */
  public AttentionSpec(
      int heads,
      int keyValueHeads,
      int headSize,
      float scale,
      int window,
      float softCap,
      boolean alibi) {
    this(heads, keyValueHeads, headSize, scale, window, softCap, alibi ? 1f : 0f);
  }

  /** Checks that the query heads divide evenly. */
  public AttentionSpec {
    Preconditions.checkArgument(
        keyValueHeads > 0 && heads % keyValueHeads == 0,
        "%s query heads cannot share %s key/value heads evenly",
        heads,
        keyValueHeads);
  }

  /** The same with so many times the heads: that of several sequences side by side. */
  public AttentionSpec times(int sequences) {
    return new AttentionSpec(
        Math.multiplyExact(heads, sequences),
        Math.multiplyExact(keyValueHeads, sequences),
        headSize,
        scale,
        window,
        softCap,
        alibi);
  }

  /** What is added for each position: {@code alibi·2^(−8(i+1)/n)} for a power of two n of heads. */
  public float alibiSlope(int head) {
    int n = Integer.highestOneBit(heads);
    double exponent = head < n ? -8.0 * (head + 1) / n : -4.0 * (2 * (head - n) + 1) / n;
    return alibi * (float) Math.pow(2, exponent);
  }
}
