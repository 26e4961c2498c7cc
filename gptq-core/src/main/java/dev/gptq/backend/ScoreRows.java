package dev.gptq.backend;

/**
 * Some rows of the scores of one attention head.
 *
 * @param first position of the first query, counted from the first key
 * @param window number of latest positions a query sees, itself included; 0 for all
 * @param softCap {@code c·tanh(score/c)} is applied to the scores if c &gt; 0
 * @param slope {@code slope·(position of key − position of query)} is added
 * @param sink a score more in each softmax, without a value; negative infinity for none
 */
public record ScoreRows(int first, int window, float softCap, float slope, float sink) {

  /** The rows of a head of {@code spec}. */
  public static ScoreRows of(AttentionSpec spec, int head, int first, float sink) {
    float slope = spec.alibiSlope(head);
    return new ScoreRows(first, spec.window(), spec.softCap(), slope, sink);
  }

  /** The first key that the query in a row sees. */
  public int from(int row) {
    return window > 0 ? Math.max(0, first + row - window + 1) : 0;
  }

  /** The key after the last that the query in a row sees, of so many. */
  public int to(int row, int keys) {
    return Math.min(keys, first + row + 1);
  }
}
