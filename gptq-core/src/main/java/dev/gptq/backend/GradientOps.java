package dev.gptq.backend;

import dev.gptq.tensor.Tensor;

/**
 * What a backward pass needs beside the operations of the forward pass, most of which are their own
 * derivatives or matrix products. {@code dy} is the gradient of some loss with respect to an output
 * y, {@code dx} that with respect to the input x. Conventions are those of {@link TransformerOps}.
 */
public interface GradientOps {

  /**
   * Of {@link TransformerOps#rmsNorm}, run by run of gain's n columns: with {@code r = 1/√(mean(x²)
   * + ε)} and {@code h = gain∘dy}
   *
   * <pre>
   *   dx ← r·(h − x·r²·mean(h∘x))
   * </pre>
   *
   * <p>dx may be dy.
   */
  void rmsNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx);

  /**
   * Of {@link TransformerOps#layerNorm}: with {@code r = 1/√(var + ε)}, {@code z = r·(x − mean)}
   * and {@code h = gain∘dy}
   *
   * <pre>
   *   dx ← r·(h − mean(h) − z·mean(h∘z))
   * </pre>
   *
   * <p>dx may be dy.
   */
  void layerNormGradient(Tensor x, Tensor gain, float epsilon, Tensor dy, Tensor dx);

  /** {@code dx ← f′(x)∘dy}; dx may be dy. */
  void activateGradient(Activation f, Tensor x, Tensor dy, Tensor dx);

  /**
   * The weights of attention and the gradient of its scores, for some queries of one head, of
   * several sequences below each other: with the scores s = scale·q·kᵀ, their capped and biased
   * values and the softmax p of those that a query sees,
   *
   * <pre>
   *   weights ← p
   *   dScores ← p∘(dWeights − Σ p∘dWeights)∘(1 − tanh²(s/cap))
   * </pre>
   *
   * <p>and zeros for keys that a query does not see.
   *
   * @param scores F32, sequences·queries × keys
   * @param dWeights F32, of the same shape: dy·vᵀ
   * @param queries of a sequence
   * @param weights of the activation type and the same shape
   * @param dScores of the activation type and the same shape
   */
  void attentionGradient(
      Tensor scores, Tensor dWeights, int queries, ScoreRows rows, Tensor weights, Tensor dScores);

  /**
   * Of {@link TransformerOps#crossEntropy}: {@code dLogits[t] ← softmax(logits[t])}, less one at
   * targets[t].
   *
   * @param logits F32, t × vocabulary
   * @param targets I32, 1 × t
   * @param dLogits of the activation type, t × vocabulary
   */
  void crossEntropyGradient(Tensor logits, Tensor targets, Tensor dLogits);

  /**
   * Of the divergence of predictions from those of another model, at every position: with {@code p
   * = softmax(base[t])} and {@code q = softmax(logits[t])}
   *
   * <pre>
   *   divergence[0][t] ← Σ p·ln(p / q)
   *   dLogits[t] ← q − p
   * </pre>
   *
   * @param logits F32, t × vocabulary
   * @param base F32, t × vocabulary
   * @param divergence F32, 1 × t
   * @param dLogits of the activation type, t × vocabulary
   */
  void divergenceGradient(Tensor logits, Tensor base, Tensor divergence, Tensor dLogits);

  /**
   * Draws a token from each row's distribution: {@code targets[t]} is the first i with {@code
   * Σ_{j≤i} p_j > uniform[t]}, {@code p = softmax(logits[t])}; the last if rounding leaves none.
   *
   * @param logits F32, t × vocabulary
   * @param uniform F32, 1 × t, at least 0 and less than 1
   * @param targets out, I32, 1 × t
   */
  void sample(Tensor logits, Tensor uniform, Tensor targets);

  /** {@code sums[0][t] ← sums[0][t] + Σ_c x[t][c]²}; sums is F32, 1 × rows of x. */
  void addRowSquares(Tensor x, Tensor sums);
}
