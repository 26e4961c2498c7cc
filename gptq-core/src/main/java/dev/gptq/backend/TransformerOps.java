package dev.gptq.backend;

import dev.gptq.tensor.DType;
import dev.gptq.tensor.Tensor;
import java.util.Optional;

/**
 * The operations of a transformer's forward pass. Activations have one token a row, contiguous
 * rows, and the backend's activation type; so do gains and biases (1 × n). Rows are {@code
 * sequences} windows of equal length, one after the other. An output may be the very tensor given
 * as an input where said, never a partly overlapping view.
 */
public interface TransformerOps {

  /** {@code x[t] ← table[tokens[t]]}; table is vocabulary × n, tokens I32 1 × t, x t × n. */
  void embed(Tensor table, Tensor tokens, Tensor x);

  /**
   * {@code y ← x / √(mean(x²) + ε) · gain}, row by row; y may be x. x may have a multiple of gain's
   * columns: then every run of that many columns is normalised by itself (q/k norm by head).
   */
  void rmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y);

  /** {@code y ← (x − mean) / √(var + ε) · gain + bias}, row by row; y may be x. */
  void layerNorm(Tensor x, Tensor gain, Tensor bias, float epsilon, Tensor y);

  /**
   * Rotary positions, in place. In each head, the two channels a and b of pair c (c &lt; r/2, r =
   * 2·columns of cosine) of the row at position p become {@code x_a·cos − x_b·sin} and {@code
   * x_b·cos + x_a·sin}, with cosine[p][c] and sine[p][c]; channels from r on stay. Row t has the
   * position {@code firstPosition + t mod (rows/sequences)}.
   *
   * @param x tokens × (heads·headSize)
   * @param pairs which channels a and b are
   * @param cosine F32, positions × r/2
   * @param sine F32, positions × r/2
   */
  void rope(
      Tensor x,
      int headSize,
      RopePairs pairs,
      Tensor cosine,
      Tensor sine,
      int firstPosition,
      int sequences);

  /**
   * Causal attention: for each sequence and head {@code y ← softmax(scale·q·kᵀ + mask)·v}. In each
   * sequence the queries are the latest of its keys' positions: with n queries and m ≥ n keys,
   * query i sees keys 0 … m − n + i (of these only the last {@code window}, if set).
   *
   * @param q tokens × heads·headSize
   * @param k keys × keyValueHeads·headSize, activations or of the {@link #keptType}
   * @param v as k, of the same type
   * @param sinks F32, 1 × heads: in each head the softmax has one score more, which takes its share
   *     of the weight and has no value
   * @param y as q
   */
  void attention(
      Tensor q,
      Tensor k,
      Tensor v,
      AttentionSpec spec,
      Optional<Tensor> sinks,
      int sequences,
      Tensor y);

  /**
   * The type that keys and values of a text so far are best kept in for attention like this, while
   * the text is continued; empty where it is that of activations.
   *
   * @param sinks whether it has some
   */
  default Optional<DType> keptType(AttentionSpec spec, boolean sinks) {
    return Optional.empty();
  }

  /** The same without sinks. */
  default void attention(
      Tensor q, Tensor k, Tensor v, AttentionSpec spec, int sequences, Tensor y) {
    attention(q, k, v, spec, Optional.empty(), sequences, y);
  }

  /**
   * The causal convolution of each column over w tokens. In each sequence the rows of y are the
   * latest of those of x: with m rows of x and n ≤ m of y, {@code y[t][c] ← Σ_j weight[j][c]·x[t +
   * m − n − w + 1 + j][c]}, where rows before the first are zeros.
   *
   * @param x (sequences·m) × columns
   * @param weight w × columns
   * @param y (sequences·n) × columns
   */
  void convolve(Tensor x, Tensor weight, int sequences, Tensor y);

  /**
   * {@code y ← exp(−rate·ln(1 + e^(x + shift)))}, element by element; shift and rate are F32, 1 ×
   * columns of x, y is F32 of x's shape.
   */
  void decay(Tensor x, Tensor shift, Tensor rate, Tensor y);

  /**
   * The gated delta rule. Every head of every sequence has a state S, keySize × valueSize, which
   * its tokens change in turn:
   *
   * <pre>
   *   S ← γ·S;   S ← S + k·(β·(v − kᵀS));   y ← qᵀS
   * </pre>
   *
   * Heads share queries and keys as in {@link #attention}.
   *
   * @param q tokens × keyHeads·keySize
   * @param k as q
   * @param v tokens × heads·valueSize
   * @param decay γ, F32, tokens × heads
   * @param beta β, tokens × heads
   * @param state S of all heads of all sequences, F32, (sequences·heads·keySize) × valueSize;
   *     changed in place
   * @param y as v
   */
  void deltaRule(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor decay,
      Tensor beta,
      Tensor state,
      int sequences,
      Tensor y);

  /**
   * {@code y ← min(max(ln(1 + e^(x + shift)), low), high)}, element by element; shift is F32, 1 ×
   * columns of x, y is F32 of x's shape.
   */
  void softplus(Tensor x, Tensor shift, float low, float high, Tensor y);

  /**
   * A selective state space. Every head of every sequence has a state S, keySize × valueSize, which
   * its tokens change in turn:
   *
   * <pre>
   *   S ← e^(−rate·step)·S + k·(step·v);   y ← qᵀS
   * </pre>
   *
   * Heads share queries and keys as in {@link #attention}.
   *
   * @param q tokens × keyHeads·keySize
   * @param k as q
   * @param v tokens × heads·valueSize
   * @param step F32, tokens × heads
   * @param rate F32, 1 × heads
   * @param state S of all heads of all sequences, F32, (sequences·heads·keySize) × valueSize;
   *     changed in place
   * @param y as v
   */
  void stateSpace(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor step,
      Tensor rate,
      Tensor state,
      int sequences,
      Tensor y);

  /** {@code y ← f(x)}; y may be x. */
  void activate(Activation f, Tensor x, Tensor y);

  /** {@code y ← f(gate)·up}, element by element; y may be gate or up. */
  void gate(Activation f, Tensor gate, Tensor up, Tensor y);

  /** {@code y ← y + x}; same shape. */
  void add(Tensor x, Tensor y);

  /** {@code y[t] ← y[t] + bias} for every row; bias is 1 × columns of y. */
  void addBias(Tensor bias, Tensor y);

  /** {@code x ← factor·x}. */
  void scale(float factor, Tensor x);

  /** {@code x ← min(max(x, low), high)}. */
  void clamp(float low, float high, Tensor x);

  /** {@code x ← cap·tanh(x/cap)}. */
  void softCap(float cap, Tensor x);

  /** {@code y[t] ← x[index[t]]}; index is I32, 1 × rows of y. */
  void gatherRows(Tensor x, Tensor index, Tensor y);

  /** {@code y[index[t]] ← y[index[t]] + weight[t]·x[t]}; index I32 without repeats, weight F32. */
  void scatterAddRows(Tensor x, Tensor index, Tensor weight, Tensor y);

  /**
   * {@code loss[0][t] ← −ln softmax(logits[t])[targets[t]]}; logits t × vocabulary of F32 or the
   * activation type, targets I32 1 × t, loss F32 1 × t.
   */
  void crossEntropy(Tensor logits, Tensor targets, Tensor loss);

  /**
   * How predictions differ from those of another model, position by position: with {@code p =
   * softmax(base[t])}, {@code q = softmax(logits[t])} and {@code n = targets[t]}
   *
   * <pre>
   *   found[0][t] ← Σ p·ln(p / q), without the terms of p = 0
   *   found[1][t] ← −ln p_n
   *   found[2][t] ← ln(p_n / q_n)
   *   found[3][t] ← 1 if the first of the largest elements is the same in both, else 0
   * </pre>
   *
   * <p>The first is accurate in proportion to itself, and the third in proportion to the first and
   * to what sets apart the differences of logits: both would be lost in logarithms of sums, which
   * cancel where predictions are near. NaN among the logits makes the first and the third NaN, and
   * among those of the base the second.
   *
   * @param logits F32, t × vocabulary; an element may be −∞, for p = 0
   * @param base F32, t × vocabulary
   * @param targets I32, 1 × t
   * @param found out, F32, 4 × t
   */
  void divergence(Tensor logits, Tensor base, Tensor targets, Tensor found);
}
